# Reads the PTX of the CUDA room's kernels: awk -f ptx.awk FILE...
# Fails where a multiplication and an addition were contracted, where an operation is only approximate, where floats are
# added atomically, and where bodies that move packs lost their vector accesses.

# Rules that call the C library have its own fused operations; their bits may differ between CPU and CUDA.
BEGIN {
  c_library = "5rules(3Log|10LogSigmoid|3Pow|11PowGradBase|15PowGradExponent)E"
  c_library_double = "5rules(3Exp|7Sigmoid|4Tanh)EEEd"
  c_library_rows = "SoftmaxRowsI(Lb1E|Lb0Ed)|SoftmaxGradRowsILb1Ed|CrossEntropyRows|BinaryCrossEntropyMapILb[01]Ed|LstmCellsId"  # log; exp of float64
}

function fail(what) {
  printf "%s: %s: %s\n", FILENAME, kernel, what
  ++failures
}

function end_of_kernel() {
  if (kernel != "" && kernel ~ /(MapOne|MapTwo|FillWords|DrawNumbers|DropNumbers|SoftmaxRows|SoftmaxGradRows|NllGradRows|CrossEntropyRows|CrossEntropyGradRows|BinaryCrossEntropyMap|GatherWordsINS0_4Pack|StepAll|UpdateRows|ScaleNumbers|ClampNumbers|SumPlaces|AddBags|LargestOfBags)/ && vectors == 0) {
    fail("no vector access")
  }
  kernel = ""
}

/\.entry / {
  end_of_kernel()
  match($0, /\.entry [A-Za-z0-9_]+/)
  kernel = substr($0, RSTART + 7, RLENGTH - 7)
  vectors = 0
  ++kernels
}
/^\.func|^\.weak \.func|^\.visible \.func/ { end_of_kernel() }
kernel == "" { next }
# fused, approximate, or flushing denormals
/fma\.r|\.approx|\.ftz/ {
  if (kernel !~ c_library && kernel !~ c_library_double && kernel !~ c_library_rows) fail("contraction, or a C library function that ptx.awk does not know: " $0)
}
/^[ \t]*(@%?!?[a-z0-9]+ +)?(atom|red)\..*\.(f16|f16x2|bf16|f32|f64)/ { fail("an atomic operation on floats: " $0) }
/(ld|st)\.global[a-z.]*\.v[24]\./ { ++vectors }

END {
  end_of_kernel()
  if (kernels == 0) { print "no kernels"; exit 1 }
  printf "%d kernels, %d failures\n", kernels, failures
  exit failures > 0
}
