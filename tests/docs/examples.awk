# Makes a C++ file of the examples in public headers (@code … @endcode; those that are no C++ are @code{.txt}):
# awk -f examples.awk HEADER… > examples.cpp. It is compiled, not run.
FNR == 1 {
  header = FILENAME
  sub(/^.*\/include\//, "", header)
  headers = headers "#include <" header ">\n"
}
/^ *\/\/\/ @code$/ {
  inside = 1
  outside_function = -1
  ++examples
  printf_start = FNR + 1
  code = ""
  next
}
/^ *\/\/\/ @endcode/ && inside {
  inside = 0
  body = body "namespace example_" examples " {\n"
  location = "#line " printf_start " \"" FILENAME "\"\n"
  body = body (outside_function ? location code : "inline void run() {\n" location code "}\n") "}\n"
  next
}
inside {
  line = $0
  sub(/^ *\/\/\/ ?/, "", line)
  if (outside_function < 0) outside_function = line ~ /^struct |^Tensor [a-z_]+\(.*\) \{$/
  if (line == "…") line = ""
  code = code line "\n"
}
END {
  if (examples < 15) {
    print "examples.awk: only " examples + 0 " examples were found" > "/dev/stderr"
    exit 1
  }
  printf "%s#include \"docs/surroundings.hpp\"\n%s", headers, body
}
