# Makes a C++ file of a page: awk -v page=NAME -f extract.awk NAME.md > NAME.cpp
#
# The ```cpp blocks become one program, in order:
#   - #include lines go to the top;
#   - a block that holds `int main() {` is a program by itself, and runs at its place;
#   - a block that begins with a type, a template, a namespace or a function stands outside of functions;
#   - all others run one after the other. Each sees the names of those before it, and may use a name anew.
# A ```text block is what was printed to std::cout since the last one, to the letter.
# <!-- file: NAME --> before any other block: its content is written to that file before anything runs.
function is_outside(line) {
  if (line ~ /^(struct|class|enum|template|namespace|using|inline|constexpr)/) return 1
  return line ~ /^[A-Za-z_][A-Za-z0-9_:<>&*, ]* [&*]?[A-Za-z_][A-Za-z0-9_]*\(.*\)( const)? \{$/ &&
         line !~ /^(if|for|while|switch|else|do|return) /
}
function raw(text) { return "R\"~~~~(" text ")~~~~\"" }
function end_of_block(    i, line, first, outside, whole, code) {
  for (i = 1; i <= lines; ++i) {
    line = block[i]
    if (line ~ /^#include/) {
      includes = includes line "\n"
      line = ""
    }
    if (line ~ /^int main\(\) \{$/) {
      line = "void main_of_program() {"
      whole = 1
    }
    if (first == "" && line !~ /^ *(\/\/.*)?$/) first = line
    code = code line "\n"
  }
  outside = is_outside(first)
  code = "#line " start " \"" FILENAME "\"\n" code
  if (whole) {
    ++programs
    outside_code = outside_code "namespace program_" programs " {\n" code "}\n"
    inside_code = inside_code "program_" programs "::main_of_program();\n"
  } else if (outside || first == "") {
    outside_code = outside_code code
  } else {
    inside_code = inside_code "{\n" code
    ++depth
  }
}
/^<!-- file: .* -->$/ {
  file = $3
  next
}
/^```/ && !kind {
  kind = substr($0, 4)
  if (kind == "") kind = "none"
  start = NR + 1
  lines = 0
  text = ""
  next
}
/^```$/ {
  if (file != "") {
    files = files "write_file(\"" file "\", " raw(text) ");\n"
  } else if (kind == "cpp") {
    ++blocks
    end_of_block()
  } else if (kind == "text") {
    inside_code = inside_code "check_printed(\"" FILENAME "\", " start ", " raw(text) ");\n"
  }
  kind = file = ""
  next
}
kind {
  block[++lines] = $0
  text = text $0 "\n"
}
END {
  if (kind || !blocks) {
    print FILENAME ": no cpp block, or one without an end" > "/dev/stderr"
    exit 1
  }
  identifier = page
  gsub(/[^A-Za-z0-9]/, "_", identifier)
  printf "%s#include \"docs/page.hpp\"\nnamespace page_%s {\n%s", includes, identifier, outside_code
  printf "void run() {\n%s%s", files, inside_code
  while (depth--) printf "}"
  printf "\n}\nconst docs::Page page(\"%s\", run);\n}\n", page
}
