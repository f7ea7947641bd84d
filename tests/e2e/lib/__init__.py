"""What the system tests share: the real programs, real sockets, upstreams that behave or misbehave on purpose."""
