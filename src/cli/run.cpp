// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "cli/arguments.h"
#include "cli/mesh_options.h"
#include "cli/parallel.h"
#include "cli/ranks.h"
#include "cli/run_rank.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

JoinOptions join_options(const Arguments& arguments) {
  JoinOptions options;
  options.transport = arguments.value("--transport", options.transport);
  options.deadline_s = arguments.seconds("--deadline", options.deadline_s);
  options.join_deadline_s = std::max(options.join_deadline_s, options.deadline_s);
  return options;
}

// So many computing threads for each of the ranks that share this host's cores; 0: all cores.
int threads_for(const Arguments& arguments, int ranks) {
  return arguments.number("--num-threads", ranks > 1 ? cores_per_rank(ranks) : 0, 0);
}

// This command once more for each rank, which then finds its job in the environment.
int run_processes(const Arguments& arguments, int count) {
  Placement placement;
  placement.ranks_per_host = count;
  std::vector<std::string> words = {"/proc/self/exe", "run"};
  for (const std::string& word : arguments.without({"-n"})) words.push_back(word);
  GroupOptions options;
  options.title = "tutti run";
  options.show_all = false;
  return run_process_group(rank_programs(placement, words, {}), options);
}

int run_threads(const Arguments& arguments, int count, const std::string& mesh) {
  std::mutex mutex;
  int code = 0;
  run_ranks(
      count,
      [&](Communicator& ranks) {
        const int found = run_rank(arguments, ranks, threads_for(arguments, count), mesh);
        const std::lock_guard lock(mutex);
        code = std::max(code, found);
      },
      join_options(arguments));
  return code;
}

// How many ranks share the cores that this one may use. mpirun and srun mostly give each its own:
// then it has less than all.
int ranks_on_cores(int size) {
  const std::string beside = variable("LOCAL_WORLD_SIZE"),
                    open_mpi = variable("OMPI_COMM_WORLD_LOCAL_SIZE");
  if (size == 1 || (beside.empty() && cores_per_rank(1) < sysconf(_SC_NPROCESSORS_ONLN))) return 1;
  const int told = std::atoi((beside.empty() ? open_mpi : beside).c_str());
  return told > 0 ? told : size;
}

// Ranks that a mesh wants: that of --mesh, or that of an engine file; 0 without one.
int ranks_of_mesh(const Arguments& arguments, std::string& mesh) {
  const std::string& path = arguments.words()[0];
  // Files by rank have collectives of their own.
  if (path.find("{rank}") != std::string::npos || is_model(path)) {
    BuildOptions options;
    const int size = read_mesh(arguments, options);
    mesh = options.mesh;
    return size;
  }
  refuse_mesh_options(arguments);
  LoadOptions load;
  load.weights = arguments.value("--weights");
  mesh = Engine::load(path, load).mesh();
  return mesh.empty() ? 0 : mesh_size(mesh);
}

// Outputs of requests are not those of rank 0.
void require_names_by_request(const Arguments& arguments, const std::string& mesh) {
  const std::string path = arguments.value("--output");
  const bool named =
      path.find("{rank}") != std::string::npos || path.find("{dp}") != std::string::npos;
  if (arguments.has("--output") && !named &&
      (arguments.has("--per-rank-input") || has_requests(mesh)))
    throw UsageError("option --output is " + path +
                     ", and requests have outputs of their own; {dp} in its name is wanted");
}

// A rank of the job that started this process. Mostly that is of one rank, which starts those that
// the mesh wants.
int run_as_rank(const Arguments& arguments, int wanted, const std::string& mesh) {
  {
    Communicator ranks = join_job(join_options(arguments));
    if (wanted <= 1 || ranks.size() > 1) {
      if (wanted != 0 && ranks.size() != wanted)
        throw UsageError("mesh " + mesh + " has " + std::to_string(wanted) +
                         " ranks; the job has " + std::to_string(ranks.size()));
      return run_rank(arguments, ranks, threads_for(arguments, ranks_on_cores(ranks.size())), mesh);
    }
  }
  return run_processes(arguments, wanted);
}

int run(const Arguments& given) {
  if (given.words().size() != 1) throw UsageError("run: one MODEL or ENGINE is wanted");
  const Arguments arguments = with_judged_mesh(given, run_command());
  std::string mesh;
  const int wanted = ranks_of_mesh(arguments, mesh);
  require_names_by_request(arguments, mesh);
  // Who wants numbers in a file runs many of these.
  if (arguments.has("--measure")) log_to_stderr(LogLevel::warning);
  if (arguments.has("--measure") && !arguments.has("--repeat"))
    throw UsageError("option --measure wants --repeat too, the number of runs that it measures");
  if (arguments.has("--verify") && !arguments.has("--mesh"))
    throw UsageError("option --verify compares one rank with those of a mesh: --mesh is wanted");
  const bool threads = arguments.has("--threads");
  const int count = arguments.number("-n", threads ? wanted : 0, 1);
  if (wanted != 0 && count != 0 && count != wanted)
    throw UsageError("mesh " + mesh + " has " + std::to_string(wanted) + " ranks; option -n is " +
                     std::to_string(count));
  if (threads && count == 0)
    throw UsageError(
        "option --threads makes ranks threads: -n N is wanted too; for computing "
        "threads there is --num-threads");
  if (count > kMostRanks)
    throw UsageError("option -n is " + std::to_string(count) + "; at most " +
                     std::to_string(kMostRanks) + " ranks are possible");
  if (threads) return run_threads(arguments, count, mesh);
  return count > 0 ? run_processes(arguments, count) : run_as_rank(arguments, wanted, mesh);
}

}  // namespace

Command run_command() {
  return {
      "run",
      "run MODEL_OR_ENGINE [--input FILE | --input NAME=FILE]... [options]",
      "Runs a network once and shows, stores or compares its outputs.",
      "Files are .npy, .npz or .safetensors; a .pt2 model is built in memory first.\n"
      "With --mesh, or an engine built with one, ranks share the work and all give the outputs.\n"
      "With -n, or under a launcher, all ranks run it together: {rank} in the path of a model,\n"
      "input, output or other file stands for the number of each; what is not named by rank is\n"
      "written by rank 0. {dp}, {tp} and {cp} stand for the place of a rank along that axis: with\n"
      "--mesh dp=2,tp=2 --per-rank-input --input 'request.{dp}.npz' two requests are computed at\n"
      "once. See docs/launching.md.\n"
      "Exit code: 0, or 1 when --expect finds a difference, or 2 for an error.",
      with_parallel_options(with_mesh_options(
          {{"--input", "FILE", "inputs by the names in FILE; NAME=FILE for a file of one tensor",
            true},
           {"--random-inputs", "", "random numbers for inputs that are not given"},
           {"--shape", "NAME=2x77", "shape of an input that is random and may vary", true},
           {"--output", "FILE", "stores the outputs"},
           {"--expect", "FILE", "compares the outputs with those in FILE"},
           {"--tolerance", "NUMBER",
            "largest error allowed, as a share of the largest expected value;\n"
            "5e-5 when not given; integers must be equal"},
           {"--verify", "",
            "instead: compares what each layer gives on one rank and on those of --mesh, and\n"
            "shows the first value that differs; --tolerance is 5e-2 for bf16 and f16"},
           {"--repeat", "N", "runs N times more and prints the times"},
           {"--measure", "FILE",
            "with --repeat: times, bytes and memory as tensors in FILE, not here"},
           {"--profile", "FILE",
            "measures each step: a Chrome trace of all ranks in FILE, the ten costliest here"},
           {"--num-threads", "N",
            "computing threads of each rank; when not given, all cores this process may use,\n"
            "shared out between the ranks of this host"},
           {"-n", "N",
            "so many ranks, as processes of this host; those of the mesh when not given"},
           {"--threads", "", "with -n or --mesh: ranks are threads of this process"},
           {"--group", "NAME=0,1", "the ranks of a group that the model names", true},
           {"--transport", "NAME", "between ranks: auto, shm or gloo"},
           {"--deadline", "SECONDS", "how long ranks wait for each other; 30 when not given"},
           {"--hold", "NAME", "computes once what depends on this input alone", true},
           {"--weights", "PATH", "weights by name: .safetensors, .npz, an index or a folder"},
           {"--dtype", "TYPE", "keep, f32 or bf16: what floating-point weights are converted to"},
           {"--matmul", "NAME", "matrix products and convolutions by: auto, own, onednn or plain"},
           {"--no-fuse", "", "every operator is a step of its own"}})),
      run};
}

}  // namespace tutti::cli
