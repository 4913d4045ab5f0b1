# SPDX-License-Identifier: MIT
# How a layer, a test program and a warning set are declared in this tree.

# millrace_options(TARGET): the language level and warnings of every target of ours.
function(millrace_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(
    ${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual)
  if(MILLRACE_WARNINGS_AS_ERRORS)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  # False alarms of g++ 12 about its own <string> at -O3 (GCC bug 105651), about <regex> and
  # <functional> with the sanitizers, and about <optional> where it builds for arm64.
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-Wno-restrict>)
    if(MILLRACE_SANITIZE OR CMAKE_CROSSCOMPILING)
      target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
    endif()
  endif()
  if(MILLRACE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${MILLRACE_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${MILLRACE_SANITIZE})
  endif()
  if(MILLRACE_FUZZ)
    # Clang 14 cannot assemble coroutines that are checked for calls through wrong function types.
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link -fno-sanitize=function)
  endif()
endfunction()

# millrace_layer(NAME): library millrace::NAME from <NAME>/src/**.cc with its own include root.
function(millrace_layer layer)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/*.cc)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/include/*.h)
  add_library(millrace_${layer} STATIC ${sources})
  add_library(millrace::${layer} ALIAS millrace_${layer})
  set_target_properties(millrace_${layer} PROPERTIES EXPORT_NAME ${layer} POSITION_INDEPENDENT_CODE ON)
  target_sources(millrace_${layer} PUBLIC FILE_SET HEADERS BASE_DIRS
                 ${CMAKE_CURRENT_SOURCE_DIR}/include FILES ${headers})
  target_include_directories(millrace_${layer} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
  millrace_options(millrace_${layer})
endfunction()

# millrace_test_folder(LAYER MODULE LIBS...): program test_<LAYER>_<MODULE> from the *_test.cc files of
# tests/<LAYER>/<MODULE>/, and its ctest entry. A layer's own tests may include its src/.
function(millrace_test_folder layer module)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${layer}/${module}/*.cc)
  set(target test_${layer}_${module})
  add_executable(${target} ${sources})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/${layer}/src ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE ${ARGN} test_main)
  millrace_options(${target})
  add_test(NAME ${layer}.${module} COMMAND ${target})
  set_tests_properties(${layer}.${module} PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
endfunction()
