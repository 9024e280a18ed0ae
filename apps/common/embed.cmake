# Writes OUT, a C++ file that holds the texts of TRAIN and DEV as strings, which <sample.hpp> declares in NAMESPACE; a
# literal ends behind each empty line, as compilers do not take long ones.
set(text "// Made by embed.cmake.\n#include <sample.hpp>\n\nnamespace ${NAMESPACE} {\n")
foreach(part TRAIN DEV)
  string(TOLOWER ${part} name)
  file(READ ${${part}} content)
  if(content MATCHES "\\)~\"")
    message(FATAL_ERROR "${${part}}: holds )~\", which ends the literal that it is to stand in")
  endif()
  string(REPLACE "\n\n" "\n\n)~\"\nR\"~(" content "${content}")
  string(APPEND text "\nconst std::string_view sample_${name} = R\"~(${content})~\";\n")
endforeach()
string(APPEND text "\n}  // namespace ${NAMESPACE}\n")
file(WRITE ${OUT} "${text}")
