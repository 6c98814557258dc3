# Compiles every header of a folder by itself. Wants COMPILER, FLAGS, ROOT and FOLDER.
file(GLOB_RECURSE headers ${ROOT}/${FOLDER}/*.h)
foreach(header IN LISTS headers)
  execute_process(COMMAND ${COMPILER} ${FLAGS} -std=c++20 -Wall -Wextra -fsyntax-only -x c++
    -Wno-missing-field-initializers -DTUTTI_ISA=portable -DTUTTI_SOURCE_DIR="." -I${ROOT}/include
    -I${ROOT}/src -include ${header} /dev/null
    RESULT_VARIABLE code ERROR_VARIABLE errors)
  if(NOT code EQUAL 0)
    message(SEND_ERROR "${header} does not compile alone:\n${errors}")
  endif()
endforeach()
