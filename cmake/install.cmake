# What `cmake --install` brings: public headers, libraries, the program, and find_package(tutti).
include(CMakePackageConfigHelpers)
set(tutti_package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/tutti)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/tutti DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS tutti tutti_options EXPORT tuttiTargets)
install(EXPORT tuttiTargets NAMESPACE tutti:: DESTINATION ${tutti_package_folder})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/tuttiConfig.cmake.in
  ${PROJECT_BINARY_DIR}/tuttiConfig.cmake INSTALL_DESTINATION ${tutti_package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tuttiConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tuttiConfig.cmake ${PROJECT_BINARY_DIR}/tuttiConfigVersion.cmake
  DESTINATION ${tutti_package_folder})
