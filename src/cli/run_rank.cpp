// SPDX-License-Identifier: Apache-2.0
#include "cli/run_rank.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "cli/compare.h"
#include "cli/inputs.h"
#include "cli/mesh_options.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

constexpr std::string_view kRank = "{rank}";

bool is_by_rank(const std::string& path) { return path.find(kRank) != std::string::npos; }

std::string of_rank(std::string path, int rank) {
  for (size_t at; (at = path.find(kRank)) != std::string::npos;)
    path.replace(at, kRank.size(), std::to_string(rank));
  return path;
}

double tolerance(const Arguments& arguments) {
  const std::string text = arguments.value("--tolerance", "5e-5");
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= 0))
    throw UsageError("option --tolerance is " + text + "; a number of 0 or more is wanted");
  return value;
}

// NAME=0,1
RankGroups parse_groups(const std::vector<std::string>& texts) {
  RankGroups groups;
  for (const std::string& text : texts) {
    const UsageError error("group " + text + " is not understood; NAME=0,1 is wanted");
    const size_t equals = text.find('=');
    if (equals == std::string::npos) throw error;
    std::vector<int>& ranks = groups[text.substr(0, equals)];
    if (!ranks.empty()) throw UsageError("group " + text.substr(0, equals) + " is given twice");
    for (size_t at = equals + 1; at <= text.size();) {
      const size_t end = std::min(text.find(',', at), text.size());
      int rank = -1;
      const auto read = std::from_chars(text.data() + at, text.data() + end, rank);
      if (read.ec != std::errc() || read.ptr != text.data() + end || rank < 0) throw error;
      ranks.push_back(rank);
      at = end + 1;
    }
  }
  return groups;
}

class RankRun {
 public:
  RankRun(const Arguments& arguments, Communicator& ranks, int threads)
      : arguments_(arguments), ranks_(ranks), threads_(threads), rank_(ranks.rank()) {}

  int run() {
    const double allowed = tolerance(arguments_);
    const int count = arguments_.number("--repeat", 0, 1);
    const std::vector<InputShapes> shapes = parse_shapes(arguments_.values("--shape"));
    if (shapes.size() > 1) throw UsageError("option --shape gives an input two shapes");
    const RankGroups groups = parse_groups(arguments_.values("--group"));
    engine_ = open();
    const TensorMap inputs = read(*engine_, shapes.empty() ? InputShapes{} : shapes[0]);

    session_ = engine_->session(threads_);
    Session& session = *session_;
    if (ranks_.size() > 1 || !groups.empty()) session.bind(ranks_, groups);
    const TensorMap outputs = session.run(inputs);
    const int code = show(outputs, allowed);
    if (ranks_.size() > 1) show_bytes_sent(session.bytes_sent());
    if (is_mine("--output")) save_tensors(path("--output"), outputs);
    if (count > 0) repeat(session, inputs, count);
    if (arguments_.has("--profile")) profile(session, inputs);
    // Nobody ends while another still works: the end of one that failed ends the others.
    ranks_.barrier("the end");
    return code;
  }

 private:
  std::string path(const std::string& option) const {
    return of_rank(arguments_.value(option), rank_);
  }
  // Whether this rank writes the file of the option.
  bool is_mine(const std::string& option) const {
    return arguments_.has(option) && (rank_ == 0 || is_by_rank(arguments_.value(option)));
  }
  void print(const std::string& text) const {
    if (rank_ == 0) std::fputs(text.c_str(), stdout);
  }

  Engine open() const {
    const std::string model = of_rank(arguments_.words()[0], rank_);
    ProgressBar bar;
    if (!is_model(model)) {
      LoadOptions options;
      options.weights = path("--weights");
      if (arguments_.has("--hold")) options.held = arguments_.values("--hold");
      if (rank_ == 0) options.progress = bar.callback();
      return Engine::load(model, options);
    }
    BuildOptions options;
    options.weights = path("--weights");
    options.weights_dtype = parse_weights_dtype(arguments_.value("--dtype"));
    options.held = arguments_.values("--hold");
    options.threads = threads_;
    options.fuse = !arguments_.has("--no-fuse");
    options.matmul = arguments_.value("--matmul");
    read_mesh(arguments_, options);
    if (!options.mesh.empty()) options.rank = rank_;
    if (rank_ == 0) options.progress = bar.callback();
    return Engine::build(model, options);
  }

  // Plans for the inputs, too.
  TensorMap read(Engine& engine, const InputShapes& shapes) const {
    std::vector<std::string> files = arguments_.values("--input");
    for (std::string& file : files) file = of_rank(file, rank_);
    TensorMap inputs = read_inputs(files, engine.inputs());
    require_known_inputs(engine, inputs);
    const bool random = arguments_.has("--random-inputs");
    if (!random) require_all_inputs(engine, inputs);
    const PlanInfo plan = plan_for(engine, shapes_of(inputs, shapes));
    if (random) add_random_inputs(engine, plan, inputs);
    return inputs;
  }

  int show(const TensorMap& outputs, double allowed) const {
    if (!arguments_.has("--expect")) {
      std::vector<std::vector<std::string>> rows = {{"output", "type"}};
      for (const auto& [name, tensor] : outputs)
        rows.push_back({name, describe(tensor.dtype, tensor.shape)});
      print(table(rows));
      return 0;
    }
    const Comparison comparison = compare(outputs, load_tensors(path("--expect")), allowed);
    if (comparison.passed) {
      print(comparison.table);
      return 0;
    }
    const std::string head = ranks_.size() > 1 ? "rank " + std::to_string(rank_) + ":\n" : "";
    std::fputs((head + comparison.table).c_str(), stdout);
    return 1;
  }

  void show_bytes_sent(uint64_t bytes) {
    const auto size = static_cast<size_t>(ranks_.size());
    const auto own = static_cast<int64_t>(bytes);
    std::vector<int64_t> all(size);
    const comm::Collective gather{
        .kind = comm::Kind::gather, .dtype = DType::i64, .count = 1, .label = "bytes sent"};
    ranks_.run(gather, &own, rank_ == 0 ? all.data() : nullptr);
    std::vector<std::vector<std::string>> rows = {{"rank", "bytes sent"}};
    for (size_t r = 0; r < size; ++r) rows.push_back({std::to_string(r), std::to_string(all[r])});
    print(table(rows));
  }

  void repeat(Session& session, const TensorMap& inputs, int count) const {
    std::vector<double> times;
    for (int i = 0; i < count; ++i) {
      const auto start = std::chrono::steady_clock::now();
      session.run(inputs);
      const std::chrono::duration<double, std::milli> passed =
          std::chrono::steady_clock::now() - start;
      times.push_back(passed.count());
    }
    std::sort(times.begin(), times.end());
    if (rank_ == 0)
      std::printf("%d runs: min %.3f ms, median %.3f ms, max %.3f ms\n", count, times.front(),
                  times[times.size() / 2], times.back());
  }

  void profile(Session& session, const TensorMap& inputs) const {
    Profile measured = session.profile(inputs);
    if (!is_mine("--profile")) return;
    const std::string path = this->path("--profile");
    std::ofstream file(path);
    file << chrome_trace(measured);
    file.close();
    if (!file) throw UsageError(path + ": cannot be written");
    if (rank_ == 0) show_costliest(measured, path);
  }

  static void show_costliest(Profile& measured, const std::string& path) {
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

  const Arguments& arguments_;
  Communicator& ranks_;
  const int threads_, rank_;
  // Until the end of the object: to peers, the end of a session is that of its rank.
  std::optional<Engine> engine_;
  std::optional<Session> session_;
};

}  // namespace

int run_rank(const Arguments& arguments, Communicator& ranks, int threads) {
  RankRun rank(arguments, ranks, threads);
  try {
    return rank.run();
  } catch (const std::exception& error) {
    ranks.abort_group(error.what());
    throw;
  }
}

}  // namespace tutti::cli
