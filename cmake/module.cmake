# tutti_module(name DEPS rooms... LIBS libraries... WITHOUT files...): the room src/<name>, but for
# the files named by WITHOUT, as a static library tutti_<name>, its x_test.cpp files as the test program tutti_<name>_test, and the test layers.<name>, which fails
# when a file of the room includes a room that is not in DEPS. Test programs find files by the macro
# TUTTI_SOURCE_DIR, through core/test_data.h.
#
# A file x_isa.cpp is compiled once for each instruction set in TUTTI_ISAS; inside it the macro
# TUTTI_ISA names the one at hand, and its code lives in namespace isa_<that>.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(TUTTI_ISAS portable avx2 avx512)
else()
  set(TUTTI_ISAS portable)
endif()
set(TUTTI_ISA_FLAGS_portable "")
set(TUTTI_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(TUTTI_ISA_FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c
    -mprefer-vector-width=512)

add_library(tutti_options INTERFACE)
target_compile_features(tutti_options INTERFACE cxx_std_20)
target_include_directories(tutti_options INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_options(tutti_options INTERFACE
  $<BUILD_INTERFACE:-Wall> $<BUILD_INTERFACE:-Wextra>
  $<BUILD_INTERFACE:-Wno-missing-field-initializers>
  $<BUILD_INTERFACE:$<$<BOOL:${TUTTI_WERROR}>:-Werror>>)

function(tutti_module name)
  cmake_parse_arguments(ARG "" "" "DEPS;LIBS;WITHOUT" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  foreach(file IN LISTS ARG_WITHOUT)
    list(FILTER sources EXCLUDE REGEX "/${file}$")
  endforeach()
  set(tests ${sources})
  set(isa_sources ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER isa_sources INCLUDE REGEX "_isa\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "(_test|_isa)\\.cpp$")

  set(objects)
  foreach(isa IN LISTS TUTTI_ISAS)
    if(isa_sources)
      add_library(tutti_${name}_${isa} OBJECT ${isa_sources})
      target_link_libraries(tutti_${name}_${isa} PRIVATE tutti_options)
      target_compile_definitions(tutti_${name}_${isa} PRIVATE TUTTI_ISA=${isa})
      target_compile_options(tutti_${name}_${isa} PRIVATE -O3 -fno-math-errno -fno-trapping-math
        -ffp-contract=fast ${TUTTI_ISA_FLAGS_${isa}})
      set_target_properties(tutti_${name}_${isa} PROPERTIES UNITY_BUILD OFF
        POSITION_INDEPENDENT_CODE ON)
      list(APPEND objects $<TARGET_OBJECTS:tutti_${name}_${isa}>)
    endif()
  endforeach()

  add_library(tutti_${name} STATIC ${sources} ${objects})
  set_target_properties(tutti_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(tutti_${name} PUBLIC tutti_options PRIVATE ${ARG_LIBS})
  foreach(dep IN LISTS ARG_DEPS)
    target_link_libraries(tutti_${name} PUBLIC tutti_${dep})
  endforeach()
  install(TARGETS tutti_${name} EXPORT tuttiTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

  if(TUTTI_TESTS)
    add_test(NAME layers.${name} COMMAND ${CMAKE_COMMAND} -DROOM=${name} "-DDEPS=${ARG_DEPS}"
      -DSRC=${PROJECT_SOURCE_DIR}/src -P ${PROJECT_SOURCE_DIR}/cmake/check_layers.cmake)
    if(tests)
      add_executable(tutti_${name}_test ${tests})
      target_link_libraries(tutti_${name}_test PRIVATE tutti_${name} GTest::gtest_main ${ARG_LIBS})
      target_compile_definitions(tutti_${name}_test PRIVATE TUTTI_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
      gtest_discover_tests(tutti_${name}_test TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 60
        PROPERTIES TIMEOUT 120)
    endif()
  endif()
endfunction()

# tutti_program(room name): the room src/<room> as the program <name> in the build folder, and the
# test layers.<room>: it may include itself and the public headers only.
function(tutti_program room name)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${room}/*.cpp)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  add_executable(tutti_${room} ${sources})
  target_link_libraries(tutti_${room} PRIVATE tutti tutti_options)
  set_target_properties(tutti_${room} PROPERTIES OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  install(TARGETS tutti_${room} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  if(TUTTI_TESTS)
    add_test(NAME layers.${room} COMMAND ${CMAKE_COMMAND} -DROOM=${room} -DDEPS=
      -DSRC=${PROJECT_SOURCE_DIR}/src -P ${PROJECT_SOURCE_DIR}/cmake/check_layers.cmake)
  endif()
endfunction()
