# scripts/gpu-check where there is no GPU, and beside programs that only pretend: cmake -DSCRIPT=… -DPYTHON=… -DWORK=…
# -P gpu_check.cmake
if(NOT PYTHON)
  message("skipped: no python3")
  return()
endif()
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK}/tools ${WORK}/build/bin)
set(usual_path $ENV{PATH})
set(ENV{PATH} "${WORK}/tools:${usual_path}")
unset(ENV{CUDA_VISIBLE_DEVICES})
set(ENV{CUDA_HOME} ${WORK})

function(pretend path text)
  file(WRITE ${path} "#!/bin/sh\n${text}\n")
  file(CHMOD ${path} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
endfunction()

# expect(<what> <status> SAYS <words of stdout or stderr>... ARGUMENTS <of the script>...)
function(expect what wanted)
  cmake_parse_arguments(ARG "" "" "SAYS;ARGUMENTS" ${ARGN})
  execute_process(COMMAND ${PYTHON} ${SCRIPT} --skip-build --build ${WORK}/build --report ${WORK}/report ${ARG_ARGUMENTS}
    RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE err TIMEOUT 100)
  if(NOT status STREQUAL wanted)
    message(SEND_ERROR "${what}: ended with ${status}, not ${wanted}\n${out}${err}")
  endif()
  foreach(words IN LISTS ARG_SAYS)
    string(FIND "${out}${err}" "${words}" place)
    if(place EQUAL -1)
      message(SEND_ERROR "${what}: does not say '${words}':\n${out}${err}")
    endif()
  endforeach()
endfunction()

# --- no GPU: said at once, and nothing is left behind
pretend(${WORK}/tools/nvidia-smi "echo 'NVIDIA-SMI has failed: no driver'; exit 9")
expect("a driver that fails" 3 SAYS "no GPU here: nvidia-smi says: NVIDIA-SMI has failed: no driver")
pretend(${WORK}/tools/nvidia-smi "exit 0")
expect("a driver without a GPU" 3 SAYS "no GPU here")
pretend(${WORK}/tools/nvidia-smi "case \"$1\" in -L) echo 'GPU 0: Pretended (UUID: none)';; *) echo 'Pretended, 1.0';; esac")
set(ENV{CUDA_VISIBLE_DEVICES} -1)
expect("no visible GPU" 3 SAYS "none is visible (CUDA_VISIBLE_DEVICES=-1)")
unset(ENV{CUDA_VISIBLE_DEVICES})
if(EXISTS ${WORK}/report)
  message(SEND_ERROR "a report of nothing was left behind")
endif()
expect("a senseless budget" 2 ARGUMENTS --budget 0 SAYS "--budget")
expect("no such phase" 2 ARGUMENTS --only nothing SAYS "--only")
expect("a dry run" 0 ARGUMENTS --dry-run SAYS "EMBERGRAD_REQUIRE_CUDA=1 ctest" "--tool racecheck" "--device cuda")

# --- all is well. The peer: the same inputs, and a graph that is faster.
pretend(${WORK}/tools/ctest "echo '100% tests passed, 0 tests failed out of 3'")
pretend(${WORK}/tools/compute-sanitizer "echo '========= ERROR SUMMARY: 0 errors'")
pretend(${WORK}/build/bin/test_device "exit 0")
pretend(${WORK}/build/bin/opcheck "mkdir -p \"$4\"; cp \"$3\"/*.safetensors \"$4\"")
pretend(${WORK}/build/bin/embergrad-tagger
  "while [ $# -gt 0 ]; do [ \"$1\" = --model ] && file=\"$2\"; shift; done; echo m > \"$file\"; echo r > \"$file.resume\"; echo 'best epoch 3 of 3: dev accuracy 0.9000'")
pretend(${WORK}/build/bin/embergrad-bench
  "while [ $# -gt 0 ]; do [ \"$1\" = --json ] && file=\"$2\"; shift; done\ncat > \"$file\" <<'J'\n[{\"case\": \"ceiling/copy\", \"median\": 0.001, \"GB_per_s\": 2000},\n {\"case\": \"embeddingbag/x/uniform/train-adam-exact\", \"median\": 0.002, \"bytes\": 2000000000, \"check\": {\"distinct\": 7, \"checksum\": 5}}]\nJ")
pretend(${WORK}/peer
  "while [ $# -gt 0 ]; do [ \"$1\" = --out ] && file=\"$2\"; shift; done\ncat > \"$file\" <<'J'\n{\"rows\": [{\"name\": \"embeddingbag/x/uniform/train-adam-dense-fused\", \"ms\": 9, \"check\": {\"distinct\": 7, \"checksum\": 5}},\n {\"name\": \"embeddingbag/x/uniform/train-adam-dense-fused/graph\", \"ms\": 4}]}\nJ")
expect("all is well" 0 ARGUMENTS --seed 41 --peer ${WORK}/peer
  SAYS "100% tests passed" "seeds 41 and 42" "ERROR SUMMARY: 0 errors" "identical; dev accuracy 0.9000" "2.000 ms    4.000 ms   2.00    1.000 ms"
    "all green; skipped: build, treebank")
file(STRINGS ${WORK}/report/phases.jsonl lines)
list(LENGTH lines phases)
if(NOT phases EQUAL 13)
  message(SEND_ERROR "phases.jsonl has ${phases} lines, not 13")
endif()

# --- each phase that goes wrong is told, and the next ones run
pretend(${WORK}/tools/compute-sanitizer "[ \"$2\" = racecheck ] && { echo 'RACECHECK SUMMARY: 1 hazard'; exit 99; }; [ \"$2\" = synccheck ] && sleep 60 | cat; exit 0")
expect("a race and a barrier that never comes" 1 ARGUMENTS --only "check$" --limit synccheck=2
  SAYS "racecheck    FAILED" "RACECHECK SUMMARY: 1 hazard" "synccheck    TIME-OUT" "initcheck    ok" "failed: racecheck, synccheck")
pretend(${WORK}/tools/ctest "echo '50% tests passed, 1 tests failed out of 2'; exit 8")
pretend(${WORK}/build/bin/test_device "[ \"$EMBERGRAD_TEST_SEED\" = 42 ] && exit 201; exit 0")
pretend(${WORK}/build/bin/embergrad-tagger
  "while [ $# -gt 0 ]; do [ \"$1\" = --model ] && file=\"$2\"; shift; done; echo \"$file\" > \"$file\"; echo r > \"$file.resume\"; echo 'dev accuracy 0.9000'")
pretend(${WORK}/peer "echo 'needs torch' >&2; exit 2")
file(REMOVE ${WORK}/build/bin/embergrad-bench)
expect("nearly all goes wrong" 1 ARGUMENTS --seed 41 --only "tests|fresh|tagger|bench|peer|facts" --peer ${WORK}/peer
  SAYS "tests        FAILED" "fresh        FAILED" "seed 42 ended with 201" "one.safetensors and two.safetensors differ"
    "bench        FAILED" "embergrad-bench is not there" "peer         skipped" "needs torch" "facts        ok")
pretend(${WORK}/build/bin/opcheck "mkdir -p \"$4\"; cp \"$3\"/*.safetensors \"$4\"; [ $2 = cpu ] || { rm \"$4\"/add_00.safetensors; printf 'DeviceError\\nno CUDA kernel\\n' > \"$4\"/add_00.error; }")
expect("refused on one device alone" 1 ARGUMENTS --only opcheck SAYS "opcheck      FAILED" "1 of" "cases differ: add_00")
expect("a budget that is spent" 1 ARGUMENTS --only "tests|initcheck" --budget 1 SAYS "unreached")
