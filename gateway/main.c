/* selvedge-gateway: one program in three roles. Without one it supervises the other two. Two more
 * commands look after the database while the control process is stopped. */
#include "gateway/control_main.h"
#include "gateway/database_main.h"
#include "gateway/proxy_main.h"
#include "gateway/supervisor.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct gateway_options options;
    struct err err = ERR_INIT;
    int ret = gateway_options_parse(argc, argv, &options, &err);

    if (ret > 0)
        return 0;
    if (ret < 0) {
        fprintf(stderr, "selvedge-gateway: %s\n", err.text);
        return 2;
    }
    switch (options.role) {
    case GATEWAY_CONTROL:
        return control_main(&options);
    case GATEWAY_PROXY:
        return proxy_main(&options);
    case GATEWAY_CHECK:
        return database_check(&options);
    case GATEWAY_RESTORE:
        return database_restore(&options);
    case GATEWAY_SUPERVISOR:
        break;
    }
    log_init("selvedge-gateway", options.log_level);
    return supervisor_run(&options, argv + 1);
}
