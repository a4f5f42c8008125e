# A room is a static library whose headers are included as "<room>/<file>.h". Each room's headers lie behind a folder
# of their own that only rooms linking it can see: the layering is the link graph.
add_library(tutti_options INTERFACE)
target_compile_options(tutti_options INTERFACE -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough
                       -fno-semantic-interposition)
target_include_directories(tutti_options INTERFACE ${PROJECT_SOURCE_DIR}/include)
if(TUTTI_SANITIZE)
  # GCC 12 sees overruns and uninitialised values that are not there once it has instrumented the code.
  target_compile_options(tutti_options INTERFACE -Wno-error=array-bounds $<$<CXX_COMPILER_ID:GNU>:-Wno-error=maybe-uninitialized>)
  target_compile_options(tutti_options INTERFACE -fsanitize=${TUTTI_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(tutti_options INTERFACE -fsanitize=${TUTTI_SANITIZE})
endif()
if(TUTTI_FUZZ)
  target_compile_options(tutti_options INTERFACE -fsanitize=fuzzer-no-link -Wno-error)  # warnings are the other builds' affair
endif()

# tutti_room(core SOURCES a.cpp b.cpp ROOMS schedule ... LIBRARIES fmt::fmt ...)
function(tutti_room NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;ROOMS;LIBRARIES" ${ARGN})
  add_library(tutti_${NAME} STATIC ${ARG_SOURCES})
  set(door ${CMAKE_BINARY_DIR}/rooms/${NAME})
  file(MAKE_DIRECTORY ${door})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${door}/${NAME} SYMBOLIC)
  target_include_directories(tutti_${NAME} PUBLIC ${door})
  target_link_libraries(tutti_${NAME} PUBLIC tutti_options)
  foreach(room IN LISTS ARG_ROOMS)
    target_link_libraries(tutti_${NAME} PUBLIC tutti_${room})
  endforeach()
  target_link_libraries(tutti_${NAME} PRIVATE ${ARG_LIBRARIES})
  set_property(GLOBAL APPEND PROPERTY TUTTI_ROOMS tutti_${NAME})
endfunction()

# tutti_test(schedule_test SOURCES a_test.cpp ROOMS schedule [LABELS quick] [TIMEOUT seconds])
# A GoogleTest program as one CTest test. Tests with the label "quick" are `./dev test --quick`; those with the label "proof" compute
# for long, with one thread, and begin first.
function(tutti_test NAME)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;ROOMS;LIBRARIES;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${NAME} ${ARG_SOURCES})
  set_target_properties(${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  foreach(room IN LISTS ARG_ROOMS)
    target_link_libraries(${NAME} PRIVATE tutti_${room})
  endforeach()
  target_link_libraries(${NAME} PRIVATE tutti_options ${ARG_LIBRARIES} GTest::gtest GTest::gmock GTest::gtest_main Threads::Threads)
  add_test(NAME ${NAME} COMMAND ${NAME})
  set_tests_properties(${NAME} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  if("proof" IN_LIST ARG_LABELS)
    set_tests_properties(${NAME} PROPERTIES COST 100)
  endif()
endfunction()

# The test finds tests/cuda/standin where it looks for NVIDIA's driver.
function(tutti_on_standin NAME)
  if(TARGET ${NAME})
    # Linked, too: ThreadSanitizer knows little of what a library that is loaded later keeps for each thread.
    target_link_libraries(${NAME} PRIVATE cuda_standin)
    add_dependencies(${NAME} tutti_kernels_host)
  endif()
  set_property(TEST ${NAME} APPEND PROPERTY ENVIRONMENT LD_LIBRARY_PATH=${CMAKE_BINARY_DIR}/standin
    STANDIN_KERNELS=$<TARGET_FILE:tutti_kernels_host>)
endfunction()
