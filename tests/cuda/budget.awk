# Holds what ptxas says of each kernel against a table: awk -f budget.awk budget.txt RESOURCES...
# A line of the table: a pattern of mangled names, most registers, most bytes of stack and spills, and, behind #, why.
# The first line that fits counts. A line that fits no kernel is an error, too: what it was for is gone.
FNR == NR {
  sub(/#.*/, "")
  if (NF == 0) next
  if (NF != 3 || $2 !~ /^[0-9]+$/ || $3 !~ /^[0-9]+$/) {
    printf "%s:%d: not a pattern and two numbers\n", FILENAME, FNR
    exit failed = 1
  }
  patterns[++lines] = $1
  registers[lines] = $2
  bytes[lines] = $3
  next
}
/Compiling entry function/ {
  match($0, /'[^']+'/)
  kernel = substr($0, RSTART + 1, RLENGTH - 2)
  line = 0
  for (i = 1; i <= lines && !line; ++i) if (kernel ~ patterns[i]) line = i
  if (!line) fail("fits no line of the table")
  ++used[line]
  ++kernels
}
/bytes stack frame/ && kernel != "" {
  spilt = $1 + 0
  if ($5 + 0 > spilt) spilt = $5 + 0
  if ($9 + 0 > spilt) spilt = $9 + 0
  if (spilt > most_bytes[line]) most_bytes[line] = spilt
  if (line && spilt > bytes[line]) fail("uses " spilt " bytes of stack, " bytes[line] " allowed")
}
/Used [0-9]+ registers/ && kernel != "" {
  match($0, /Used [0-9]+/)
  count = substr($0, RSTART + 5, RLENGTH - 5) + 0
  if (count > most_registers[line]) most_registers[line] = count
  if (line && count > registers[line]) fail("uses " count " registers, " registers[line] " allowed")
  kernel = ""
}
function fail(what) {
  printf "%s: %s %s\n", FILENAME, kernel, what
  ++failures
}
END {
  if (failed) exit 1
  for (i = 1; i <= lines; ++i) {
    if (!used[i]) {
      printf "no kernel fits %s\n", patterns[i]
      ++failures
    }
    printf "%-40s %4d kernels, at most %3d of %3d registers, %3d of %3d bytes\n", patterns[i], used[i], most_registers[i], registers[i], most_bytes[i], bytes[i]
  }
  if (kernels == 0) { print "no kernels"; exit 1 }
  printf "%d kernels, %d failures\n", kernels, failures
  exit failures > 0
}
