# The program that the README shows is the one that is built and run here.
#   cmake -DREADME=… -DPROGRAM=… -P readme.cmake
file(READ ${README} readme)
file(READ ${PROGRAM} program)
string(FIND "${readme}" "${program}" at)
if(at EQUAL -1)
  message(FATAL_ERROR "${README} does not show ${PROGRAM} as it stands")
endif()
