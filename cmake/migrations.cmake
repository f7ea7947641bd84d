# The numbered files of db/migrations/ become one C table in the control library.
file(GLOB migrations CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/db/migrations/*.sql)
if(migrations)
  add_custom_command(
    OUTPUT ${CMAKE_BINARY_DIR}/migrations.inc
    COMMAND ${CMAKE_COMMAND} -DOUT=${CMAKE_BINARY_DIR}/migrations.inc "-DFILES=${migrations}"
            -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${migrations} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    VERBATIM)
  add_custom_target(sv_migrations DEPENDS ${CMAKE_BINARY_DIR}/migrations.inc)
  get_target_property(control_type sv_control TYPE)
  if(NOT control_type STREQUAL "INTERFACE_LIBRARY")
    add_dependencies(sv_control sv_migrations)
  endif()
endif()
