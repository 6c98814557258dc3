// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <chrono>
#include <cstdio>

#include "cli/arguments.h"
#include "cli/mesh_options.h"
#include "cli/parallel.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

std::string default_path(const std::string& model) {
  const size_t slash = model.rfind('/') + 1;
  return model.substr(slash, model.rfind('.') - slash) + ".tutti";
}

int build(const Arguments& given) {
  if (given.words().size() != 1) throw UsageError("build: one MODEL is wanted");
  const std::string& model = given.words()[0];
  if (!is_model(model)) throw UsageError(model + ": a .pt2 file is wanted");
  const Arguments arguments = with_judged_mesh(given, build_command());
  BuildOptions options;
  options.weights = arguments.value("--weights");
  options.weights_dtype = parse_weights_dtype(arguments.value("--dtype"));
  options.weights_later = arguments.has("--weights-later");
  options.shapes = parse_shapes(arguments.values("--shape"));
  options.held = arguments.values("--hold");
  options.threads = arguments.number("--num-threads", 0, 0);
  options.fuse = !arguments.has("--no-fuse");
  options.matmul = arguments.value("--matmul");
  read_mesh(arguments, options);
  ProgressBar bar;
  options.progress = bar.callback();
  const auto start = std::chrono::steady_clock::now();
  const Engine engine = Engine::build(model, options);
  const std::string path = arguments.value("-o", default_path(model));
  engine.save(path, arguments.has("--strip"));
  bar.clear();
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  struct stat status {};
  stat(path.c_str(), &status);
  std::printf("%s: %zu operators", path.c_str(), engine.graph_nodes());
  for (const PlanInfo& plan : engine.plans()) std::printf(", plan of %zu steps", plan.steps.size());
  std::printf(", %s, built in %.2f s\n", bytes_text(static_cast<size_t>(status.st_size)).c_str(),
              passed.count());
  if (engine.plans().empty())
    std::fprintf(stderr, "no plan was made: shapes may vary; --shape makes plans for some\n");
  return 0;
}

}  // namespace

Command build_command() {
  return {
      "build",
      "build MODEL [-o X.tutti] [options]",
      "Compiles a model into an engine file.",
      "MODEL is a .pt2 file of torch.export.save (torch 2.9 or later). Weights are those inside\n"
      "it, or come by name from --weights.",
      with_parallel_options(with_mesh_options(
          {{"-o", "FILE", "the engine file; MODEL's name with .tutti here when not given"},
           {"--weights", "PATH", "weights by name: .safetensors, .npz, an index or a folder"},
           {"--weights-later", "", "leaves weights without bytes to whoever loads the engine"},
           {"--strip", "", "refers to weight files instead of storing their bytes"},
           {"--shape", "NAME=2x77",
            "shape of an input that may vary; a name given again starts\nanother plan", true},
           {"--dtype", "TYPE", "keep, f32 or bf16: what floating-point weights are converted to"},
           {"--hold", "NAME",
            "an input that rarely changes: what depends on it alone is computed\n"
            "when it does",
            true},
           {"--num-threads", "N",
            "threads that plans are tuned for; all usable cores when not given"},
           {"--matmul", "NAME", "matrix products and convolutions by: auto, own, onednn or plain"},
           {"-n", "N", "with --parallel: so many ranks"},
           {"--no-fuse", "", "every operator is a step of its own"}})),
      build};
}

}  // namespace tutti::cli
