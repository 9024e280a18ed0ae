# Runs Doxygen over the public headers and the pages: any warning, such as a public name without a comment, is a failure.
if(NOT DOXYGEN)
  message("skipped: doxygen is not installed")
  return()
endif()
file(MAKE_DIRECTORY ${OUTPUT})
file(READ ${SOURCE}/docs/Doxyfile settings)
file(WRITE ${OUTPUT}/Doxyfile "${settings}\nOUTPUT_DIRECTORY = \"${OUTPUT}\"\n")
execute_process(COMMAND ${DOXYGEN} ${OUTPUT}/Doxyfile WORKING_DIRECTORY ${SOURCE}
  OUTPUT_VARIABLE output ERROR_VARIABLE warnings RESULT_VARIABLE result)
if(NOT result EQUAL 0 OR NOT warnings STREQUAL "")
  message(FATAL_ERROR "doxygen ended with ${result} and said:\n${warnings}")
endif()
