# Installs the library, builds a project of its own against it and runs what it built.
#   cmake -DBUILD=… -DCONSUMER=… -DWORK=… -DCORPUS=… -DFLAGS=… -P run.cmake
function(step)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "failed (${status}): ${ARGV}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK}/run)
step(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
step(${CMAKE_COMMAND} -S ${CONSUMER} -B ${WORK}/build -DCMAKE_PREFIX_PATH=${WORK}/prefix -DCMAKE_BUILD_TYPE=Release
  "-DCMAKE_CXX_FLAGS=${FLAGS}")
step(${CMAKE_COMMAND} --build ${WORK}/build)
file(COPY ${CORPUS} DESTINATION ${WORK}/run)
step(${CMAKE_COMMAND} -E chdir ${WORK}/run ${WORK}/build/tagger)
step(${CMAKE_COMMAND} -E chdir ${WORK}/run ${WORK}/build/own_op)
if(NOT EXISTS ${WORK}/run/tagger.safetensors)
  message(FATAL_ERROR "the tagger saved no model")
endif()
step(${WORK}/prefix/bin/embergrad-tagger --help)
