# SPDX-License-Identifier: MIT
# Debian packages: what they hold besides what `cmake --install` gives, and how cpack makes them.
#
# Only in a build for packages (`cmake --preset packages`): its paths are those of a system.
set(packages ${PROJECT_SOURCE_DIR}/packages)
set(made ${PROJECT_BINARY_DIR}/packages)

# The system's side of the program.
install(FILES ${packages}/millrace.service ${packages}/millrace-silo.service ${packages}/millrace-gateway.service
        DESTINATION lib/systemd/system COMPONENT program)
install(FILES ${packages}/millrace.sysusers DESTINATION lib/sysusers.d RENAME millrace.conf COMPONENT program)
install(FILES ${packages}/millrace.yaml DESTINATION /etc/millrace COMPONENT program)
install(FILES ${packages}/silo.yaml ${packages}/gateway.yaml DESTINATION share/doc/millrace/examples
        COMPONENT program)

# Documents keep their places towards each other, for their links.
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/SECURITY.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md
        DESTINATION share/doc/millrace-doc COMPONENT doc)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs ${PROJECT_SOURCE_DIR}/examples
        DESTINATION share/doc/millrace-doc COMPONENT doc
        PATTERN reference/api EXCLUDE PATTERN Doxyfile EXCLUDE PATTERN doxygen_filter EXCLUDE)

# What Debian asks of every package.
file(STRINGS ${PROJECT_SOURCE_DIR}/LICENSE lines)
list(SUBLIST lines 2 -1 lines)  # after the title and the copyright
set(licence "")
foreach(line IN LISTS lines)
  string(APPEND licence " ${line}\n")
endforeach()
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(${packages}/copyright.in ${made}/copyright @ONLY)
configure_file(${packages}/changelog.in ${made}/changelog @ONLY)
millrace_compressed(${made}/changelog ${made}/changelog.gz)
millrace_compressed(${packages}/capnpc-millrace.1 ${made}/capnpc-millrace.1.gz)
add_custom_target(package_papers ALL DEPENDS ${made}/changelog.gz ${made}/capnpc-millrace.1.gz)
install(FILES ${made}/capnpc-millrace.1.gz DESTINATION share/man/man1 COMPONENT dev)
foreach(package "program;millrace" "dev;libmillrace-dev" "doc;millrace-doc")
  list(POP_FRONT package component)
  install(FILES ${made}/copyright ${made}/changelog.gz DESTINATION share/doc/${package} COMPONENT ${component})
endforeach()

# Libraries are stripped as Debian strips them; cpack strips programs only.
install(CODE "file(GLOB libraries \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/*.a\")
  execute_process(COMMAND strip --strip-debug --remove-section=.comment --remove-section=.note \${libraries}
                  COMMAND_ERROR_IS_FATAL ANY)" COMPONENT dev)

set(CPACK_GENERATOR DEB)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY ${made})
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL program dev doc)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each has its own
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "The millrace authors <millrace@packages.debian.org>")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME millrace)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers | systemd-sysusers, tzdata")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS "millrace-doc, etcd-server")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_CONTROL_EXTRA
    "${packages}/postinst;${packages}/prerm;${packages}/postrm;${packages}/conffiles")
set(CPACK_DEBIAN_PROGRAM_DESCRIPTION "runs pipelines on durable virtual actors
Tasks of a pipeline are commands; what is done, and what is to be done again,
survives the end of any process. A server needs no database, queue or scheduler
beside it, and several of them are a cluster in which nothing acknowledged is
lost with a machine.

This package has the program and its services, none of which is enabled.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libmillrace-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
    "capnproto, libcapnp-dev, libcaf-dev (>= ${CAF_VERSION}), liblmdb-dev, libre2-dev, libssl-dev, libxxhash-dev, libyaml-cpp-dev, libzstd-dev")
set(CPACK_DEBIAN_DEV_PACKAGE_SUGGESTS "millrace-doc")
set(CPACK_DEBIAN_DEV_DESCRIPTION "durable virtual actors for C++ programs (development files)
An actor is a Cap'n Proto interface and a class; its state, timers, reminders
and messages survive the end of the process. The library is linked in, and
needs no server.

This package has the headers, static libraries, the plug-in for the Cap'n Proto
compiler, and files for CMake and pkg-config.")

set(CPACK_DEBIAN_DOC_PACKAGE_NAME millrace-doc)
set(CPACK_DEBIAN_DOC_PACKAGE_SECTION doc)
set(CPACK_DEBIAN_DOC_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_DOC_DESCRIPTION "runs pipelines on durable virtual actors (documentation)
How to run servers and clusters, how to write pipelines, and how to build
programs with actors in them, with examples of all of it.")
include(CPack)
