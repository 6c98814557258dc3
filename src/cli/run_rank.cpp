// SPDX-License-Identifier: Apache-2.0
#include "cli/run_rank.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <optional>

#include "cli/compare.h"
#include "cli/gather.h"
#include "cli/inputs.h"
#include "cli/measure.h"
#include "cli/rank_arguments.h"
#include "cli/terminal.h"
#include "cli/verify.h"

namespace tutti::cli {
namespace {

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
  RankRun(const RankArguments& arguments, Communicator& ranks)
      : arguments_(arguments), ranks_(ranks), rank_(ranks.rank()) {}

  int run() {
    const double allowed = arguments_.tolerance(5e-5);
    const int count = arguments_.all().number("--repeat", 0, 1);
    const RankGroups groups = parse_groups(arguments_.all().values("--group"));
    engine_ = open();
    const TensorMap inputs = arguments_.inputs(*engine_);

    session_ = engine_->session(arguments_.threads());
    Session& session = *session_;
    if (ranks_.size() > 1 || !groups.empty()) session.bind(ranks_, groups);
    const TensorMap outputs = session.run(inputs);
    const int code = show(outputs, allowed);
    if (ranks_.size() > 1) show_bytes_sent(session.bytes_sent());
    if (arguments_.writes("--output")) save_tensors(arguments_.path("--output"), outputs);
    if (count > 0) repeat(session, inputs, count);
    if (arguments_.all().has("--profile")) profile(session, inputs);
    // Nobody ends while another still works: the end of one that failed ends the others.
    ranks_.barrier("the end");
    return code;
  }

 private:
  // With --measure nothing is said: who asked for numbers reads them there.
  void print(const std::string& text) const {
    if (rank_ == 0 && !arguments_.all().has("--measure")) std::fputs(text.c_str(), stdout);
  }

  Engine open() const {
    const std::string model = arguments_.model();
    ProgressBar bar;
    ProgressCallback progress;
    if (rank_ == 0) progress = bar.callback();
    if (is_model(model)) {
      BuildOptions options = arguments_.build_options();
      options.progress = progress;
      return Engine::build(model, options);
    }
    LoadOptions options;
    options.weights = arguments_.path("--weights");
    if (arguments_.all().has("--hold")) options.held = arguments_.all().values("--hold");
    options.progress = progress;
    return Engine::load(model, options);
  }

  int show(const TensorMap& outputs, double allowed) const {
    if (!arguments_.all().has("--expect")) {
      std::vector<std::vector<std::string>> rows = {{"output", "type"}};
      for (const auto& [name, tensor] : outputs)
        rows.push_back({name, describe(tensor.dtype, tensor.shape)});
      print(table(rows));
      return 0;
    }
    const Comparison comparison =
        compare(outputs, load_tensors(arguments_.path("--expect")), allowed);
    if (comparison.passed) {
      print(comparison.table);
      return 0;
    }
    const std::string head = ranks_.size() > 1 ? "rank " + std::to_string(rank_) + ":\n" : "";
    std::fputs((head + comparison.table).c_str(), stdout);
    return 1;
  }

  void show_bytes_sent(uint64_t bytes) const {
    std::vector<std::vector<std::string>> rows = {{"rank", "bytes sent"}};
    for (const auto& sent : gather_numbers(ranks_, {static_cast<double>(bytes)}))
      rows.push_back(
          {std::to_string(rows.size() - 1), std::to_string(static_cast<uint64_t>(sent[0]))});
    print(table(rows));
  }

  // The plan of this rank for these inputs.
  PlanInfo plan_of(const TensorMap& inputs) const {
    const InputShapes shapes = shapes_of(inputs, {});
    for (PlanInfo& plan : engine_->plans()) {
      const bool same = std::all_of(plan.inputs.begin(), plan.inputs.end(), [&](const auto& port) {
        return std::find(shapes.begin(), shapes.end(), port) != shapes.end();
      });
      if (same && (engine_->mesh().empty() || plan.rank == rank_)) return std::move(plan);
    }
    return {};
  }

  void repeat(Session& session, const TensorMap& inputs, int count) const {
    const Measurement measured = measure(session, plan_of(inputs), inputs, count, ranks_);
    if (rank_ != 0) return;
    if (arguments_.all().has("--measure")) save_measurement(arguments_.path("--measure"), measured);
    const auto [least, most] =
        std::minmax_element(measured.times_ms.begin(), measured.times_ms.end());
    char text[128];
    std::snprintf(text, sizeof text, "%d runs: min %.3f ms, median %.3f ms, max %.3f ms\n", count,
                  *least, measured.median_ms(), *most);
    print(text);
  }

  // A trace of this rank, or of all where one file is written.
  void profile(Session& session, const TensorMap& inputs) const {
    ranks_.barrier("a profile");
    Profile measured = session.profile(inputs);
    std::string trace = chrome_trace(measured, rank_);
    const std::string path = arguments_.path("--profile");
    if (path == arguments_.all().value("--profile"))
      trace = join_traces(gather_texts(ranks_, trace));
    if (!arguments_.writes("--profile")) return;
    std::ofstream file(path);
    file << trace;
    file.close();
    if (!file) throw UsageError(path + ": cannot be written");
    show_costliest(measured, path);
  }

  void show_costliest(Profile& measured, const std::string& path) const {
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
    print(std::to_string(measured.steps.size()) + " steps, " + number_text(total) +
          " ms; the costliest:\n" + table(rows) + "trace: " + path + "\n");
  }

  const RankArguments& arguments_;
  Communicator& ranks_;
  const int rank_;
  // Until the end of the object: to peers, the end of a session is that of its rank.
  std::optional<Engine> engine_;
  std::optional<Session> session_;
};

}  // namespace

int run_rank(const Arguments& arguments, Communicator& ranks, int threads,
             const std::string& mesh) {
  const RankArguments own(arguments, ranks.rank(), threads, mesh);
  RankRun run(own, ranks);
  try {
    return arguments.has("--verify") ? verify_rank(own, ranks) : run.run();
  } catch (const std::exception& error) {
    ranks.abort_group(error.what());
    throw;
  }
}

}  // namespace tutti::cli
