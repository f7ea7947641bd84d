"""A node of our own making: what a proxy says to the control API, with keys, requests and certificates as a test wants them."""
import datetime
import http.client
import json
import socket
import sqlite3
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DOMAIN = "selvedge.local"
PEM = serialization.Encoding.PEM


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key):
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def make_csr(key, *extensions):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(PEM).decode()


class Node:
    """Whoever holds a key and, once it has joined, a certificate."""

    def __init__(self, control, name="edge-2", key=None):
        self.control, self.name, self.key = control, name, key or new_key()
        self.cert = None
        self.files = control.folder

    def call(self, method, target, body=None, cert=None, timeout=30):
        """(status, text); OSError when TLS did not come about."""
        connection = self.connect(cert, timeout)
        try:
            connection.request(method, target, None if body is None else json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def connect(self, cert=None, timeout=30):
        context = ssl.create_default_context(cafile=str(self.control.data / "ca.crt"))
        cert = cert or self.cert
        if cert:
            path = self.files / f"{self.name}-{id(self)}.pem"
            path.write_text(cert + key_pem(self.key))
            context.load_cert_chain(path)
        return http.client.HTTPSConnection("127.0.0.1", self.control.port, context=context, timeout=timeout)

    def join(self, token, csr=None):
        """(status, the answer as JSON); the certificate is kept."""
        status, text = Node.call(self, "POST", "/selvedge/v1/join", {"token": token, "name": self.name, "csr": csr or make_csr(self.key)}, cert="")
        answer = json.loads(text)
        if status == 200:
            self.cert = answer["certificate"]
        return status, answer

    def renew(self, cert=None):
        """The new certificate; it is the caller's to keep or lose."""
        status, text = self.call("POST", self.path("certificate"), {"csr": make_csr(self.key)}, cert)
        assert status == 200, text
        return json.loads(text)["certificate"]

    def path(self, what):
        return f"/selvedge/v1/nodes/{self.name}/{what}"

    def status(self, cert=None):
        """What it is told when it asks for its configuration."""
        return self.call("GET", self.path("snapshot"), cert=cert)[0]

    def stream(self):
        """(connection, answer) of an open stream, once its first event is there."""
        connection = self.connect()
        connection.request("GET", self.path("stream"))
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.readline()
        return connection, answer


class Authority:
    """The control API's own root, to sign what it would not."""

    def __init__(self, control):
        database = sqlite3.connect(control.data / "control.db")
        stored = dict(database.execute("SELECT name, value FROM blob WHERE space = 'ca'"))
        database.close()
        self.key = serialization.load_pem_private_key(stored["root.key"], None)
        self.root = x509.load_pem_x509_certificate(stored["root.crt"])

    def sign(self, key, names, enrolment="", starts=-datetime.timedelta(minutes=5), ends=datetime.timedelta(hours=1),
             usage=ExtendedKeyUsageOID.CLIENT_AUTH, is_authority=False):
        now = datetime.datetime.utcnow()
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, "test")]
        subject += [x509.NameAttribute(NameOID.USER_ID, enrolment)] if enrolment else []
        builder = (x509.CertificateBuilder().subject_name(x509.Name(subject)).issuer_name(self.root.subject).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now + starts).not_valid_after(now + ends)
                   .add_extension(x509.BasicConstraints(is_authority, None), True)
                   .add_extension(x509.ExtendedKeyUsage([usage]), False)
                   .add_extension(x509.KeyUsage(True, False, False, False, False, is_authority, False, False, False), True)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root.public_key()), False))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(PEM).decode()


def self_signed(key, names, enrolment):
    """By the node's own key, under the root's name."""
    now = datetime.datetime.utcnow()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test"), x509.NameAttribute(NameOID.USER_ID, enrolment)])
    return (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
            .not_valid_before(now - datetime.timedelta(minutes=5)).not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName(names), False).sign(key, hashes.SHA256()).public_bytes(PEM).decode())


def tls_socket(control, timeout=30):
    """A TLS connection without a certificate, for requests written byte by byte."""
    context = ssl.create_default_context(cafile=str(control.data / "ca.crt"))
    plain = socket.create_connection(("127.0.0.1", control.port), timeout=timeout)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")
