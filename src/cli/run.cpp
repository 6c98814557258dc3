// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "cli/arguments.h"
#include "cli/compare.h"
#include "cli/inputs.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

Engine open(const Arguments& arguments) {
  const std::string& path = arguments.words()[0];
  ProgressBar bar;
  if (!is_model(path)) {
    LoadOptions options;
    options.weights = arguments.value("--weights");
    if (arguments.has("--hold")) options.held = arguments.values("--hold");
    options.progress = bar.callback();
    return Engine::load(path, options);
  }
  BuildOptions options;
  options.weights = arguments.value("--weights");
  options.weights_dtype = parse_weights_dtype(arguments.value("--dtype"));
  options.held = arguments.values("--hold");
  options.threads = arguments.number("--threads", 0, 0);
  options.fuse = !arguments.has("--no-fuse");
  options.matmul = arguments.value("--matmul");
  options.progress = bar.callback();
  return Engine::build(path, options);
}

double tolerance(const Arguments& arguments) {
  const std::string text = arguments.value("--tolerance", "5e-5");
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= 0))
    throw UsageError("option --tolerance is " + text + "; a number of 0 or more is wanted");
  return value;
}

void repeat(Session& session, const TensorMap& inputs, int count) {
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    const auto start = std::chrono::steady_clock::now();
    session.run(inputs);
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - start;
    times.push_back(passed.count());
  }
  std::sort(times.begin(), times.end());
  std::printf("%d runs: min %.3f ms, median %.3f ms, max %.3f ms\n", count, times.front(),
              times[times.size() / 2], times.back());
}

void profile(Session& session, const TensorMap& inputs, const std::string& path) {
  Profile measured = session.profile(inputs);
  std::ofstream file(path);
  file << chrome_trace(measured);
  file.close();
  if (!file) throw UsageError(path + ": cannot be written");
  double total = 0;
  for (const StepTime& step : measured.steps) total += step.duration_ms;
  std::stable_sort(
      measured.steps.begin(), measured.steps.end(),
      [](const StepTime& a, const StepTime& b) { return a.duration_ms > b.duration_ms; });
  std::vector<std::vector<std::string>> rows = {{"ms", "share", "step", "by", "types", "scope"}};
  for (size_t i = 0; i < std::min<size_t>(10, measured.steps.size()); ++i) {
    const StepTime& step = measured.steps[i];
    const bool fits = step.types.size() <= 60;
    rows.push_back({number_text(step.duration_ms),
                    number_text(100 * step.duration_ms / std::max(total, 1e-9)) + "%",
                    step.operation, step.implementation,
                    fits ? step.types : step.types.substr(0, 57) + "...", step.scope});
  }
  std::printf("%zu steps, %.3f ms; the costliest:\n%strace: %s\n", measured.steps.size(), total,
              table(rows).c_str(), path.c_str());
}

void print_outputs(const TensorMap& outputs) {
  std::vector<std::vector<std::string>> rows = {{"output", "type"}};
  for (const auto& [name, tensor] : outputs)
    rows.push_back({name, describe(tensor.dtype, tensor.shape)});
  std::fputs(table(rows).c_str(), stdout);
}

int run(const Arguments& arguments) {
  if (arguments.words().size() != 1) throw UsageError("run: one MODEL or ENGINE is wanted");
  const double allowed = tolerance(arguments);
  const int count = arguments.number("--repeat", 0, 1);
  const std::vector<InputShapes> shapes = parse_shapes(arguments.values("--shape"));
  if (shapes.size() > 1) throw UsageError("option --shape gives an input two shapes");
  Engine engine = open(arguments);
  TensorMap inputs = read_inputs(arguments.values("--input"), engine.inputs());
  require_known_inputs(engine, inputs);
  const bool random = arguments.has("--random-inputs");
  if (!random) require_all_inputs(engine, inputs);
  const PlanInfo plan =
      plan_for(engine, shapes_of(inputs, shapes.empty() ? InputShapes{} : shapes[0]));
  if (random) add_random_inputs(engine, plan, inputs);

  Session session = engine.session(arguments.number("--threads", 0, 0));
  const TensorMap outputs = session.run(inputs);
  int code = 0;
  if (arguments.has("--expect")) {
    const Comparison comparison =
        compare(outputs, load_tensors(arguments.value("--expect")), allowed);
    std::fputs(comparison.table.c_str(), stdout);
    if (!comparison.passed) code = 1;
  } else {
    print_outputs(outputs);
  }
  if (arguments.has("--output")) save_tensors(arguments.value("--output"), outputs);
  if (count > 0) repeat(session, inputs, count);
  if (arguments.has("--profile")) profile(session, inputs, arguments.value("--profile"));
  return code;
}

}  // namespace

Command run_command() {
  return {
      "run",
      "run MODEL_OR_ENGINE [--input FILE | --input NAME=FILE]... [options]",
      "Runs a network once and shows, stores or compares its outputs.",
      "Files are .npy, .npz or .safetensors; a .pt2 model is built in memory first.\n"
      "Exit code: 0, or 1 when --expect finds a difference, or 2 for an error.",
      {{"--input", "FILE", "inputs by the names in FILE; NAME=FILE for a file of one tensor", true},
       {"--random-inputs", "", "random numbers for inputs that are not given"},
       {"--shape", "NAME=2x77", "shape of an input that is random and may vary", true},
       {"--output", "FILE", "stores the outputs"},
       {"--expect", "FILE", "compares the outputs with those in FILE"},
       {"--tolerance", "NUMBER",
        "largest error allowed, as a share of the largest expected value;\n"
        "5e-5 when not given; integers must be equal"},
       {"--repeat", "N", "runs N times more and prints the times"},
       {"--profile", "FILE", "measures each step: a Chrome trace in FILE, the ten costliest here"},
       {"--threads", "N", "threads; all cores this process may use when not given"},
       {"--hold", "NAME", "computes once what depends on this input alone", true},
       {"--weights", "PATH", "weights by name: .safetensors, .npz, an index or a folder"},
       {"--dtype", "TYPE", "keep, f32 or bf16: what floating-point weights are converted to"},
       {"--matmul", "NAME", "matrix products and convolutions by: auto, own, onednn or plain"},
       {"--no-fuse", "", "every operator is a step of its own"}},
      run};
}

}  // namespace tutti::cli
