# SPDX-License-Identifier: MIT
# What `cmake --install` puts where, and the packages by which CMake and pkg-config find it.
#
# Everything finds the rest from its own place, so an installed tree may be moved.
include(CMakePackageConfigHelpers)

# Everything that is not said to be of the program is for who builds with it.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME dev)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/millrace)

# The pipeline layer is an export of its own: an embedder of the runtime needs no YAML library.
install(TARGETS millrace_schemas millrace_runtime capnpc-millrace EXPORT millraceTargets
        FILE_SET HEADERS INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS millrace_actors EXPORT millraceActorsTargets
        FILE_SET HEADERS INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS millrace COMPONENT program)
foreach(export millraceTargets millraceActorsTargets)
  install(EXPORT ${export} NAMESPACE millrace:: DESTINATION ${package_dir})
endforeach()

# Schemas lie beside the headers, where the Cap'n Proto compiler looks by itself when the prefix is
# /usr or /usr/local.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/schemas/millrace DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN *.capnp)
foreach(layer schemas actors)
  install(DIRECTORY ${PROJECT_BINARY_DIR}/${layer}/schemas/millrace_${layer}/
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
endforeach()

configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/millraceConfig.cmake.in ${PROJECT_BINARY_DIR}/package/millraceConfig.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
# Before 1.0 a minor version may break its users.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/millraceConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/millraceConfig.cmake
              ${PROJECT_BINARY_DIR}/package/millraceConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/MillraceSchemas.cmake ${CMAKE_CURRENT_LIST_DIR}/FindCAF.cmake
              ${CMAKE_CURRENT_LIST_DIR}/FindLMDB.cmake ${CMAKE_CURRENT_LIST_DIR}/FindxxHash.cmake
              ${CMAKE_CURRENT_LIST_DIR}/FindRE2.cmake
        DESTINATION ${package_dir})

# How far the folder of the .pc files is below the prefix.
file(RELATIVE_PATH up_to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" up_to_prefix "${up_to_prefix}")
foreach(name millrace millrace-actors)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/${name}.pc.in ${PROJECT_BINARY_DIR}/package/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/package/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT licence)

# millrace_compressed(SOURCE FILE): by gzip, as man and Debian want it.
function(millrace_compressed source file)
  add_custom_command(OUTPUT ${file} COMMAND gzip -9nc ${source} > ${file} DEPENDS ${source} VERBATIM)
endfunction()

# The manual and the completions come out of the program, so they say what it does.
set(manual ${PROJECT_BINARY_DIR}/manual)
file(MAKE_DIRECTORY ${manual})
function(millrace_printed file)  # by the arguments behind it
  add_custom_command(OUTPUT ${file} COMMAND millrace ${ARGN} > ${file} DEPENDS millrace VERBATIM)
endfunction()
millrace_printed(${manual}/millrace.1 man)
millrace_printed(${manual}/millrace.yaml.5 man millrace.yaml)
millrace_printed(${manual}/millrace completion bash)
millrace_printed(${manual}/_millrace completion zsh)
millrace_printed(${manual}/millrace.fish completion fish)
millrace_compressed(${manual}/millrace.1 ${manual}/millrace.1.gz)
millrace_compressed(${manual}/millrace.yaml.5 ${manual}/millrace.yaml.5.gz)
add_custom_target(manual ALL DEPENDS ${manual}/millrace.1.gz ${manual}/millrace.yaml.5.gz ${manual}/millrace
                                     ${manual}/_millrace ${manual}/millrace.fish)
install(FILES ${manual}/millrace.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
install(FILES ${manual}/millrace.yaml.5.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man5 COMPONENT program)
set(data ${CMAKE_INSTALL_DATADIR})
install(FILES ${manual}/millrace DESTINATION ${data}/bash-completion/completions COMPONENT program)
install(FILES ${manual}/_millrace DESTINATION ${data}/zsh/vendor-completions COMPONENT program)
install(FILES ${PROJECT_SOURCE_DIR}/docs/reference/pipeline.schema.json DESTINATION ${data}/millrace
        COMPONENT program)
install(FILES ${manual}/millrace.fish DESTINATION ${data}/fish/vendor_completions.d COMPONENT program)
