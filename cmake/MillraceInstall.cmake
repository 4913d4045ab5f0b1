# SPDX-License-Identifier: MIT
# What `cmake --install` puts where, and the packages by which CMake and pkg-config find it.
#
# Everything finds the rest from its own place, so an installed tree may be moved.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/millrace)

# The pipeline layer is an export of its own: an embedder of the runtime needs no YAML library.
install(TARGETS millrace_schemas millrace_runtime capnpc-millrace EXPORT millraceTargets
        FILE_SET HEADERS INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS millrace_actors EXPORT millraceActorsTargets
        FILE_SET HEADERS INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS millrace)
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
        DESTINATION ${package_dir})

# How far the folder of the .pc files is below the prefix.
file(RELATIVE_PATH up_to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" up_to_prefix "${up_to_prefix}")
foreach(name millrace millrace-actors)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/${name}.pc.in ${PROJECT_BINARY_DIR}/package/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/package/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
