# SPDX-License-Identifier: MIT
# How Cap'n Proto schemas become C++; in this tree and, installed, in a consumer's.

# Debian's CapnProto package names a folder for its programs that does not exist.
find_program(CAPNP_COMPILER capnp REQUIRED)
find_program(CAPNP_CPP_PLUGIN capnpc-c++ REQUIRED)

# millrace_actor_schemas(TARGET FILE... [PREFIX DIR] [IMPORT_DIRS DIR...])
#
# Compiles the schemas with the C++ plug-in and with ours, adds the sources to TARGET and makes
# `x.capnp.h` and `x.capnp.actor.h` includable by it and by what links it. Includes are relative to
# PREFIX (default: the current source directory). `import "/millrace/actor.capnp"` works. TARGET
# links millrace::runtime by itself when a schema has actor interfaces.
function(millrace_actor_schemas target)
  cmake_parse_arguments(arg "" "PREFIX" "IMPORT_DIRS" ${ARGN})
  if(NOT arg_PREFIX)
    set(arg_PREFIX ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  set(output_dir ${CMAKE_CURRENT_BINARY_DIR}/schemas/${target})
  # A property of the plug-in, because a variable would not reach callers in other directories.
  get_target_property(our_schemas millrace::capnpc MILLRACE_IMPORT_DIR)
  # How to run the plug-in; without the property it runs by itself.
  get_target_property(plugin millrace::capnpc MILLRACE_RUN)
  if(NOT plugin)
    set(plugin $<TARGET_FILE:millrace::capnpc>)
  endif()
  set(imports -I${our_schemas})
  foreach(dir ${arg_IMPORT_DIRS})
    list(APPEND imports -I${dir})
  endforeach()
  foreach(schema ${arg_UNPARSED_ARGUMENTS})
    get_filename_component(schema ${schema} ABSOLUTE)
    file(RELATIVE_PATH stem ${arg_PREFIX} ${schema})
    set(outputs ${output_dir}/${stem}.c++ ${output_dir}/${stem}.h ${output_dir}/${stem}.actor.h)
    add_custom_command(
      OUTPUT ${outputs}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${output_dir}
      COMMAND ${CAPNP_COMPILER} compile
              -o${CAPNP_CPP_PLUGIN}:${output_dir}
              -o${plugin}:${output_dir}
              --src-prefix=${arg_PREFIX} ${imports} ${schema}
      DEPENDS ${schema} millrace::capnpc
      COMMENT "Compiling schema ${stem}"
      VERBATIM)
    set_source_files_properties(${output_dir}/${stem}.c++ PROPERTIES COMPILE_OPTIONS -w)
    target_sources(${target} PRIVATE ${outputs})
  endforeach()
  target_include_directories(${target} SYSTEM PUBLIC $<BUILD_INTERFACE:${output_dir}>)
  # The C++ plug-in's code for an interface refers to the RPC library even when none is used.
  target_link_libraries(${target} PUBLIC CapnProto::capnp CapnProto::capnp-rpc)
endfunction()
