# Command lines of the program tutti: exit codes and what they print. Wants TUTTI, MODELS and WORK.
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

# expect(CODE "pattern of the output" words...): stdout and stderr together match the pattern.
function(expect code pattern)
  execute_process(COMMAND ${TUTTI} ${ARGN} WORKING_DIRECTORY ${WORK}
    RESULT_VARIABLE found OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT found EQUAL code OR NOT output MATCHES "${pattern}")
    message(SEND_ERROR "tutti ${ARGN}\ngave ${found}; ${code} is wanted, and '${pattern}' in\n${output}")
  endif()
endfunction()

set(flux ${MODELS}/flux.pt2 --input ${MODELS}/flux.inputs.safetensors)
set(expected --expect ${MODELS}/flux.outputs.safetensors)

# Help, and one clear line with code 2 for what is not understood.
expect(0 "build.*run.*inspect.*ops.*doctor.*launch" --help)
expect(2 "usage: tutti COMMAND")
expect(0 "^tutti [0-9.]+\n$" --version)
foreach(command build run inspect ops doctor launch bench)
  expect(0 "usage: tutti ${command}" ${command} --help)
endforeach()
foreach(command build run inspect doctor launch bench)
  expect(2 "^tutti: [^\n]*--nonsense[^\n]*\n$" ${command} --nonsense)
endforeach()
foreach(command build run inspect bench)
  expect(2 "^tutti: nothing.pt2: there is no such file\n$" ${command} nothing.pt2)
  expect(2 "^tutti: [^\n]*\n$" ${command})
endforeach()
expect(2 "^tutti: command frob is not known[^\n]*\n$" frob)
expect(2 "--input wants a value" run ${flux} --input)
expect(2 "--output is given twice" run ${flux} --output a --output b)
expect(2 "--repeat is many" run ${flux} --repeat many)
expect(2 "--tolerance is -1" run ${flux} --tolerance -1)
expect(2 "--dtype is f8" build ${MODELS}/flux.pt2 --dtype f8)
expect(2 "shape x=2y3" build ${MODELS}/flux.pt2 --shape x=2y3)
expect(2 "nothing.npy: there is no such file" run ${flux} --input guidance=nothing.npy)

# Models and engines run, and outputs compare.
expect(0 "out.0 .* ok" run ${flux} ${expected})
expect(1 "too far off" run ${flux} ${expected} --tolerance 1e-12)
expect(1 "no such output" run ${flux} --expect ${MODELS}/flux.inputs.safetensors)
expect(0 "f32.1, 64, 16." run ${MODELS}/flux.pt2 --random-inputs)
expect(2 "^tutti: missing inputs: hidden_states f32.1, 64, 16., .*--random-inputs" run
  ${MODELS}/flux.pt2)
expect(2 "input input_ids is not known" run ${MODELS}/flux.pt2 --input
  ${MODELS}/llama.inputs.safetensors)
expect(0 "steps.*built in" build ${MODELS}/flux.pt2 -o flux.tutti)
expect(0 "out.0 .* ok" run flux.tutti --input ${MODELS}/flux.inputs.safetensors ${expected})
expect(0 "out.0 .* ok" run flux.tutti --input ${MODELS}/flux.inputs.safetensors ${expected}
  --hold guidance --hold timestep --num-threads 1)
expect(0 "out.0 .* ok" run ${flux} ${expected} --no-fuse --matmul plain)
expect(0 "3 runs: min .* median .* max" run ${flux} --repeat 3 --output out.npz)
expect(0 "out.0 .* ok" run ${flux} --expect out.npz --tolerance 0)
expect(0 "steps, .* the costliest" run ${flux} --profile trace.json)
file(READ ${WORK}/trace.json trace)
string(JSON events LENGTH "${trace}" traceEvents)
if(events LESS 10)
  message(SEND_ERROR "the trace has ${events} events; 10 or more are wanted")
endif()

# Shapes that may vary; weights by name.
expect(0 "no plan was made" build ${MODELS}/llama.pt2 -o llama.tutti)
expect(2 "no shape is given for input input_ids" run llama.tutti --random-inputs)
expect(0 "f32.2, 9, 128." run llama.tutti --random-inputs --shape input_ids=2x9)
expect(0 "plan of .* plan of" build ${MODELS}/llama.pt2 --shape input_ids=2x3 --shape
  input_ids=2x5 -o llama.tutti)
expect(0 "plan 1: input_ids .2, 5." inspect llama.tutti)
set(tiny ${MODELS}/flux_tiny)
expect(2 "weights have no bytes" build ${tiny}/graphs/vae_decoder.pt2)
expect(2 "bf16; f32 is wanted" build ${tiny}/graphs/vae_decoder.pt2 --weights ${tiny}/model/vae)
expect(2 "weights are missing.*nearest: " build ${tiny}/graphs/vae_decoder.pt2 --weights
  ${tiny}/model/transformer --dtype f32)
expect(0 "[1-9][0-9]* converted, [1-9][0-9]* unused" build ${tiny}/graphs/vae_decoder.pt2 --weights ${tiny}/model/vae --dtype f32 -o
  vae.tutti)

# Ranks as processes, as threads, and of a launcher's job.
set(tp ${MODELS}/tp)
set(block "${tp}/tp_block.rank{rank}of2.pt2" --input ${tp}/tp_block.inputs.safetensors)
set(same --expect ${tp}/tp_block.outputs.safetensors)
# An all_reduce of 6144 bytes, a reduce_scatter and an all_gather of as many.
set(passes "out .* ok\nrank  bytes sent\n   0       12288\n   1       12288\n$")
expect(0 "^output .*${passes}" run ${block} -n 2 --group 0=0,1 ${same})
expect(0 "^output .*${passes}" run ${block} -n 2 --threads --num-threads 1 ${same})
expect(0 "^.0. output .* ok\n" launch -n 2 ${TUTTI} run ${block} ${same})
expect(0 "bytes sent" run ${block} -n 2 --output whole.npz --deadline 20 --transport shm)
expect(0 "bytes sent.*2 runs" run ${block} -n 2 --output "part{rank}.npz" --repeat 2)
foreach(file whole part0 part1)
  expect(0 "ok" run ${block} -n 2 --expect ${file}.npz --tolerance 0)
endforeach()
file(REMOVE ${WORK}/part1.npz)
expect(2 "part1.npz.*rank 0 failed first|rank 1 failed first: exit code 2.*part1.npz" run ${block} -n
  2 --expect "part{rank}.npz")
expect(2 "^tutti: (rank 1 ended the group: )?part1.npz" run ${block} -n 2 --threads --expect "part{rank}.npz")
expect(1 "too far off" run ${block} -n 2 ${same} --tolerance 1e-12)
set(sub "${tp}/tp_sub.rank{rank}of4")
expect(0 "out .* ok\nrank  bytes sent\n.*   3        6144\n$" run "${sub}.pt2" -n 4 --group 1=0,1 --group
  2=2,3 --input "${sub}.inputs.safetensors" --expect "${sub}.outputs.safetensors")

# What is judged best for ranks, and what does not fit.
set(ENV{XDG_CACHE_HOME} ${WORK}/cache)
set(whole ${MODELS}/flux.pt2 --input ${MODELS}/flux.inputs.safetensors --expect
  ${MODELS}/flux.outputs.safetensors)
expect(0 "mesh .*share of products.*chosen.*ok\n" run ${whole} -n 2 --parallel auto --threads)
if(NOT EXISTS ${WORK}/cache/tutti/device.txt)
  message(SEND_ERROR "the profile of this machine is not kept")
endif()
expect(2 "one rank .*does not fit.*no way for 1 ranks fits: the least memory is .*MiB" run ${whole} -n 1
  --parallel auto --memory-limit 4MiB)
expect(0 "tp=4 .*chosen.*ok\n" run ${whole} -n 4 --parallel auto --memory-limit 2.5MiB --threads)
expect(2 "--mesh is not wanted with it" run ${whole} -n 2 --parallel auto --mesh tp=2)
expect(2 "a size is wanted" run ${whole} -n 2 --parallel auto --memory-limit 4XB)
expect(2 "for --parallel auto" run ${whole} --memory-limit 4MiB)
expect(2 "-n is for --parallel auto" build ${MODELS}/flux.pt2 -n 4)
expect(0 "judged for .*tp=4 .*chosen.*plan of .*plan of .*plan of .*plan of" build ${MODELS}/flux.pt2 -n 4
  --parallel auto --memory-limit 2.5MiB -o judged.tutti)
expect(0 "mesh tp=4, in each run" inspect judged.tutti)
expect(0 "judged for .*chosen.*mesh [a-z]+=.*, in each run" inspect ${MODELS}/flux.pt2 -n 3 --parallel auto)
# Shapes that may vary: given, of inputs, or of the example that was exported.
expect(0 "judged for input_ids .2, 3.:" inspect ${MODELS}/llama.pt2 -n 2 --parallel auto --shape
  input_ids=2x3)
expect(0 "judged for input_ids .2, 12.:.*no plan was made" build ${MODELS}/llama.pt2 -n 2 --parallel auto
  -o judged.tutti)
expect(0 "judged for input_ids .2, 12.:.*ok\n" run ${MODELS}/llama.pt2 -n 2 --parallel auto --threads --input
  ${MODELS}/llama.inputs.safetensors --expect ${MODELS}/llama.outputs.safetensors)

# The same programs by every transport that this build has, and groups that cross each other.
set(grid "${MODELS}/versions/subgroup_rank{rank}of4")
execute_process(COMMAND ${TUTTI} doctor OUTPUT_VARIABLE facts)
set(transports shm)
if(facts MATCHES "Gloo +/")
  list(APPEND transports gloo)
else()
  message(STATUS "not tested here: --transport gloo, this build has no Gloo")
endif()
foreach(transport ${transports})
  expect(0 "out .* ok\n" run ${block} -n 2 --group 0=0,1 ${same} --transport ${transport})
  expect(0 "out .* ok\n" run "${sub}.pt2" -n 4 --group 1=0,1 --group 2=2,3 --input
    "${sub}.inputs.safetensors" --expect "${sub}.outputs.safetensors" --transport ${transport})
  expect(0 "out.0 .* ok\nout.1 .* ok\nout.2 .* ok\nout.3 .* ok\n" run "${grid}.pt2" -n 4 --group
    0=0,1,2,3 --group 1=0,1 --group 2=2,3 --group 3=0,2 --group 4=1,3 --input
    "${grid}.inputs.safetensors" --expect "${grid}.outputs.safetensors" --transport ${transport})
endforeach()
expect(2 "-n N is wanted" run ${block} --threads)
expect(2 "group 0=x is not understood" run ${block} -n 2 --threads --group 0=x)
expect(2 "transport 'pigeon'" run ${block} -n 2 --transport pigeon)
set(ENV{WORLD_SIZE} 2)
expect(2 "^tutti: environment: RANK is missing beside WORLD_SIZE" run ${block})
unset(ENV{WORLD_SIZE})

# One model for one device on a mesh of ranks: processes, threads, a launcher's job, engine files.
set(four "ok\nrank  bytes sent\n.*   3  +[1-9][0-9]+\n$")
set(two "ok\nrank  bytes sent\n.*   1  +[1-9][0-9]+\n$")
expect(0 "^output .*${two}" run ${flux} ${expected} -n 2 --mesh tp=2)
expect(0 "${two}" run ${flux} ${expected} --mesh cp=2 --cp ring)
expect(0 "${four}" run ${flux} ${expected} --mesh tp=2,cp=2)
expect(0 "${four}" run ${flux} ${expected} --mesh cp=4 --cp ulysses:2,ring:2 --threads)
expect(0 "${four}" run ${flux} ${expected} --mesh dp=2,tp=2 -n 4 --threads)
expect(0 "^.0. output .* ok\n" launch -n 2 ${TUTTI} run ${flux} ${expected} --mesh cp=2 --cp gather_kv)
expect(0 "ok\n$" run ${flux} ${expected} --mesh tp=1)
expect(0 "plan of [^\n]*plan of [^\n]*plan of [^\n]*plan of" build ${MODELS}/flux.pt2 --mesh tp=2,cp=2
  --cp ring -o mesh.tutti)
set(mesh mesh.tutti --input ${MODELS}/flux.inputs.safetensors)
expect(0 "${four}" run ${mesh} ${expected})
expect(0 "${four}" run ${mesh} ${expected} -n 4 --threads)
expect(2 "^tutti: mesh tp=2,cp=2 has 4 ranks; option -n is 3\n$" run ${mesh} -n 3)
expect(2 "^tutti: mesh.tutti: option --mesh is for models" run ${mesh} --mesh tp=4)
expect(2 "^tutti: mesh tp=2,cp=2 has 4 ranks; option -n is 2\n$" run ${flux} -n 2 --mesh tp=2,cp=2)
expect(2 "mesh tp=3 has 3 ranks; the job has 2" launch -n 2 ${TUTTI} run ${flux} --mesh tp=3)
expect(2 "^tutti: option --cp is ring, and the mesh is tp=2; an axis cp is wanted" run ${flux} --mesh tp=2
  --cp ring)
expect(2 "^tutti: option --cp is ring, and there is no mesh" build ${MODELS}/flux.pt2 --cp ring)
expect(2 "^tutti: context star; gather_kv, ulysses or ring is wanted\n$" run ${flux} --mesh cp=2
  --cp star)
expect(2 "^tutti: context ring:2 is of 2 ranks; cp has 4\n$" run ${flux} --mesh cp=4 --cp ring:2)
expect(0 "rank +FLOP +of one rank's.*all .*rank 0:\ncollective" inspect ${MODELS}/flux.pt2 --mesh cp=3)
expect(0 "rank +FLOP +of one rank's.*rank 1:\ncollective +ranks +count +bytes sent\nall_" inspect
  ${MODELS}/flux.pt2 --mesh tp=2,cp=2 --rank 1)
expect(0 "plan 0: [^\n]*\n.*rank 0:\ncollective +ranks +types +bytes sent +scope\nall_" inspect mesh.tutti
  --collectives)
expect(0 "hidden_states +input +f32.1, 64, 16. .*cp 0:12 24:56 . 12:24 56:88, tp 0:2 . 2:4" inspect
  mesh.tutti --placements)
expect(0 "^hidden_states f32.1, 64, 16., by input: .whole, whole, whole.\n.*takes cp 0:32 . 32:64" inspect
  mesh.tutti --why hidden_states)
expect(2 "value hidden_stats is not known; nearest: hidden_states" inspect mesh.tutti --why hidden_stats)
expect(2 "no plan for rank 4" inspect mesh.tutti --rank 4)
expect(2 "rank 4 of mesh cp=4; -1 to 3 is wanted" inspect ${MODELS}/flux.pt2 --mesh cp=4 --rank 4)
expect(2 "option --why wants a mesh" inspect ${MODELS}/flux.pt2 --why hidden_states)
expect(2 "^tutti: mesh tp=x; NAME=RANKS is wanted" run ${flux} --mesh tp=x)

# A request of each rank along dp, beside one rank that runs one after the other.
set(request ${MODELS}/flux.pt2 --random-inputs)
expect(0 "out.0" run ${request} --output request.0.npz)
expect(0 "out.0" run ${request} --input hidden_states=request.0.npz --output request.1.npz)
expect(0 "out.0" run ${request} --input hidden_states=request.1.npz --output answer.1.npz)
file(COPY_FILE ${WORK}/request.1.npz ${WORK}/answer.0.npz)
set(requests "hidden_states=request.{dp}.npz" --expect "answer.{dp}.npz")
set(own --mesh dp=2,tp=2 --per-rank-input)
expect(0 "ok\nrank  bytes sent\n.*   3  +304640\n$" run ${request} -n 4 ${own} --input ${requests} --output
  "found.{dp}.npz")
foreach(dp 0 1)
  expect(0 "ok" run ${request} --input hidden_states=request.${dp}.npz --expect found.${dp}.npz)
endforeach()
expect(1 "rank [23]:\n.*too far off" run ${request} ${own} --threads --input
  "hidden_states=request.{dp}.npz" --expect answer.0.npz)
expect(0 "^all [1-9][0-9]+ values agree on 4 ranks" run ${request} ${own} --threads --verify --input
  "hidden_states=request.{dp}.npz")
expect(0 "plan of" build ${MODELS}/flux.pt2 ${own} -o requests.tutti)
expect(0 "ok\nrank  bytes sent" run requests.tutti --random-inputs --threads --input ${requests})
expect(0 "mesh request=2,tp=2, ranks along request with inputs of their own, in each run" inspect
  requests.tutti)
expect(2 "^tutti: requests.tutti: option --per-rank-input is for models" run requests.tutti --per-rank-input)
expect(2 "^tutti: option --per-rank-input is given, and the mesh is tp=2; an axis dp is wanted" run
  ${request} --mesh tp=2 --per-rank-input)
expect(2 "^tutti: option --per-rank-input is given, and there is no mesh" build ${MODELS}/flux.pt2
  --per-rank-input)
expect(2 "^tutti: option --output is out.npz, and requests have outputs of their own; {dp} in its name"
  run ${request} ${own} --output out.npz)
expect(2 "{dp} is no axis of the mesh; there are: {rank}, {tp}" run ${request} --mesh tp=2 --threads
  --input ${requests})
file(REMOVE ${WORK}/request.1.npz)
expect(2 "request.1.npz: there is no such file" run ${request} ${own} --input ${requests})

# State that ranks share.
set(cache ${MODELS}/versions/kv_cache.pt2 --mesh tp=2)
expect(0 "^all [1-9][0-9]+ values agree on 2 ranks" run ${cache} --verify --random-inputs)
expect(0 "0 B +1.0 KiB .*\n1 .*0 B +1.0 KiB " inspect ${cache})
expect(0 "^k f32.1, 4, 8, 8., by state: .whole, tp 0:2 . 2:4, .*heads of attention" inspect ${cache}
  --why k)
expect(0 "plan of" build ${cache} -o cache.tutti)
expect(0 "rank  bytes sent\n   0 +128\n" run cache.tutti --random-inputs)

# Layer by layer beside one rank.
expect(0 "^all [1-9][0-9]+ values agree on 2 ranks; largest error, relative: [0-9.e-]+, of" run ${flux}
  --verify --mesh tp=2)
expect(0 "^all [1-9][0-9]+ values agree on 4 ranks" run ${flux} --verify --mesh tp=2,cp=2 --cp ring --threads)
expect(1 "^value [a-z_0-9]+, f32.*differs on rank [01]: largest error .*the [0-9]+ values before it agree.*it is .whole"
  run ${flux} --verify --mesh tp=2 --tolerance 0)
expect(2 "^tutti: option --verify compares one rank" run ${flux} --verify)

# The tolerance of 16 bits lets sums in another order pass, and not a rank that computes something else.
set(rounded ${MODELS}/flux_bf16.pt2 --random-inputs)
set(compared --mesh tp=2 --threads --verify)
expect(0 "bf16" run ${rounded} --output x0.safetensors)
expect(0 "bf16" run ${rounded} --input hidden_states=x0.safetensors --output x1.safetensors)
expect(0 "^all [1-9][0-9]+ values agree on 2 ranks; .*0.0[0-4]" run ${rounded} ${compared} --input
  hidden_states=x0.safetensors)
expect(1 "^value [a-z_0-9]+, bf16.*differs on rank [01]: largest error " run ${rounded} ${compared}
  --input "hidden_states=x{rank}.safetensors")

# Strategies beside each other.
expect(0 "1 +one rank .* 2 +cp:ring .* 2 +tp .* 4 +tp.cp:ring .*2 ranks: auto takes " bench ${MODELS}/flux.pt2 --ranks 1,2,4
  --strategies "tp,cp:ring,tp+cp:ring" --repeat 2 --json bench.json --svg charts --trace traces)
file(READ ${WORK}/bench.json bench)
string(JSON count LENGTH "${bench}" results)
string(JSON sent GET "${bench}" results 1 bytes_sent 1)
string(JSON mesh GET "${bench}" results 4 mesh)
string(JSON ranks GET "${bench}" auto 1 ranks)
string(JSON taken GET "${bench}" auto 1 mesh)
if(NOT count EQUAL 6 OR sent LESS 1000 OR NOT mesh STREQUAL "tp=2,cp=2" OR NOT ranks EQUAL 4 OR taken
   STREQUAL "")
  message(SEND_ERROR "bench.json has ${count} results, ${sent} bytes of cp:ring, a mesh ${mesh}, and of "
    "${ranks} ranks auto takes '${taken}'")
endif()
foreach(chart latency speedup bytes memory)
  file(READ ${WORK}/charts/${chart}.svg svg)
  if(NOT svg MATCHES "^<svg .*>ranks</text>.*>cp:ring</text>.*>tp</text>.*</svg>\n$")
    message(SEND_ERROR "${chart}.svg is no chart: ${svg}")
  endif()
endforeach()
file(READ "${WORK}/traces/tp=2,cp=2_ring.json" trace)
string(JSON events LENGTH "${trace}" traceEvents)
math(EXPR last "${events} - 1")
string(JSON rank GET "${trace}" traceEvents ${last} pid)
if(events LESS 100 OR NOT rank EQUAL 3)
  message(SEND_ERROR "the trace of 4 ranks has ${events} events, the last of rank ${rank}")
endif()
set(choice "auto takes (dp, 1 of the least time, that of dp|[a-z:_]+, which was not measured)\n$")
expect(0 "2 +dp +dp=2 +[0-9.e-]+ +[0-9.]+ +- .*2 ranks: ${choice}" bench ${MODELS}/llama.pt2 --shape
  input_ids=2x3 --ranks 2 --strategies dp --threads --repeat 1)
expect(2 "strategy star is not known; there are: all, cp:ulysses, " bench ${MODELS}/flux.pt2 --strategies star)
expect(2 "--ranks is 1,x; numbers of ranks" bench ${MODELS}/flux.pt2 --ranks 1,x)
expect(2 "--measure wants --repeat" run ${flux} --measure m.npz)

# What files hold.
expect(0 "hidden_states .*bound .*steps in each run" inspect ${MODELS}/flux.pt2)
expect(0 "all checksums are right" inspect flux.tutti --check)
expect(0 "^tutti.graph 1\n.*function run" inspect flux.tutti --graph)
expect(0 "^digraph" inspect ${MODELS}/flux.pt2 --dot)
expect(2 "PyTorch 2.6.0" inspect ${MODELS}/versions/llama_torch26.pt2)
file(WRITE ${WORK}/damaged.tutti "this is no engine")
expect(2 "^tutti: [^\n]*damaged.tutti[^\n]*\n$" run damaged.tutti)
expect(0 "mesh cp=4" inspect ${MODELS}/flux.pt2 --mesh cp=4 --svg moved.svg)
file(READ ${WORK}/moved.svg picture)
if(NOT picture MATCHES "rank 3.*all_to_all: [0-9.]+ KiB sent")
  message(FATAL_ERROR "moved.svg shows no exchange of rank 3")
endif()
expect(0 "matmul: .*types: .*sharding: .*implementations: " ops matmul)
expect(0 "softmax: .*axis = " ops)
expect(0 "sharding: runs whole: windows overlap" ops unfold)
expect(2 "operator frob is not known" ops frob)
expect(0 "cores .*memory .*simdjson" doctor)
file(REMOVE_RECURSE ${WORK})
