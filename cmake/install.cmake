# libtutti.so and `cmake --install`: the shared library, the public headers, the program, a CMake package and a pkg-config file.
#
# The library is the runtime room and every room below it, so it is made of their objects: a room that is linked later is in it
# without a word here.
include(CMakePackageConfigHelpers)

# All rooms that ROOM reaches, itself included, and what they link from elsewhere.
function(tutti_reach ROOM ROOMS LIBRARIES)
  set(open ${ROOM})
  while(open)
    list(POP_FRONT open item)
    if(item IN_LIST rooms OR item IN_LIST libraries)
      continue()
    endif()
    get_property(is_room GLOBAL PROPERTY TUTTI_ROOMS)
    if(item IN_LIST is_room)
      list(APPEND rooms ${item})
      get_target_property(links ${item} LINK_LIBRARIES)
      if(links)
        list(APPEND open ${links})
      endif()
    else()
      list(APPEND libraries ${item})
    endif()
  endwhile()
  set(${ROOMS} ${rooms} PARENT_SCOPE)
  set(${LIBRARIES} ${libraries} PARENT_SCOPE)
endfunction()

# tutti_shared_library(TARGET ROOM MAP): a library made of a room and all below it, which shows only the names in MAP and calls its
# own inside.
function(tutti_shared_library TARGET ROOM MAP)
  tutti_reach(${ROOM} rooms libraries)
  list(TRANSFORM rooms REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
  add_library(${TARGET} SHARED ${objects})
  set_target_properties(${TARGET} PROPERTIES LINKER_LANGUAGE CXX LINK_DEPENDS ${MAP})
  target_link_libraries(${TARGET} PRIVATE ${libraries})
  target_link_options(${TARGET} PRIVATE -Wl,--version-script=${MAP} -Wl,-Bsymbolic-functions -Wl,--no-undefined)
endfunction()

tutti_shared_library(tutti_library tutti_runtime ${CMAKE_CURRENT_LIST_DIR}/exports.map)
add_library(tutti::tutti ALIAS tutti_library)
set_target_properties(tutti_library PROPERTIES
  OUTPUT_NAME tutti EXPORT_NAME tutti VERSION ${PROJECT_VERSION} SOVERSION 0)
target_compile_features(tutti_library PUBLIC cxx_std_20)
target_include_directories(tutti_library PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

# What MPI programs preload.
tutti_shared_library(tutti_mpi_library tutti_mpi ${PROJECT_SOURCE_DIR}/src/dropin/mpi/exports.map)
set_target_properties(tutti_mpi_library PROPERTIES OUTPUT_NAME tutti_mpi)

# What NCCL programs find under NCCL's own name.
tutti_shared_library(tutti_nccl_library tutti_nccl ${PROJECT_SOURCE_DIR}/src/dropin/nccl/exports.map)
set_target_properties(tutti_nccl_library PROPERTIES OUTPUT_NAME nccl VERSION 2.30.7 SOVERSION 2)

install(TARGETS tutti_library EXPORT tutti
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS tutti_mpi_library LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
# Where it is not taken for NVIDIA's by accident.
install(TARGETS tutti_nccl_library LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/tutti)
install(FILES include/nccl.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tutti/dropin)
install(TARGETS tutti_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/tutti DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/tutti)
install(EXPORT tutti NAMESPACE tutti:: FILE tuttiTargets.cmake DESTINATION ${package})
configure_package_config_file(cmake/tuttiConfig.cmake.in ${CMAKE_BINARY_DIR}/package/tuttiConfig.cmake INSTALL_DESTINATION ${package}
                              NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/tuttiConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/tuttiConfig.cmake ${CMAKE_BINARY_DIR}/package/tuttiConfigVersion.cmake DESTINATION ${package})

# The .pc file finds its folder by itself, so that the installed tree can be moved.
file(RELATIVE_PATH prefix_from_pc /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/tutti.pc.in ${CMAKE_BINARY_DIR}/package/tutti.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/package/tutti.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
