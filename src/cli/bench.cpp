// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "cli/arguments.h"
#include "cli/bench_report.h"
#include "cli/ranks.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

std::vector<int> numbers_of(const std::string& text) {
  std::vector<int> numbers;
  for (const std::string& word : words_of(text)) {
    int number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size() || number < 1 ||
        number > kMostRanks)
      throw UsageError("option --ranks is " + text + "; numbers of ranks are wanted, as in 1,2,4");
    numbers.push_back(number);
  }
  return numbers;
}

// A file that is removed at the end.
class Scratch {
 public:
  Scratch()
      : path_((std::filesystem::temp_directory_path() /
               ("tutti_bench_" + std::to_string(getpid()) + ".npz"))
                  .string()) {}
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Bench {
 public:
  explicit Bench(const Arguments& arguments) : arguments_(arguments) {}

  // Each strategy is a job of `tutti run`, whose rank 0 leaves what it measured in a file.
  BenchResult run(const StrategyChoice& strategy) const {
    const bool threads = arguments_.has("--threads") && strategy.ranks > 1;
    Placement placement;
    placement.ranks_per_host = threads ? 1 : strategy.ranks;
    GroupOptions options;
    options.title = "tutti bench";
    options.show_all = false;
    const int code =
        run_process_group(rank_programs(placement, words(strategy, threads), {}), options);
    if (code != 0) return {strategy, std::nullopt};
    return {strategy, load_measurement(scratch_.path())};
  }

 private:
  std::vector<std::string> words(const StrategyChoice& strategy, bool threads) const {
    std::vector<std::string> words = {"/proc/self/exe", "run", arguments_.words()[0]};
    const auto add = [&](const std::string& option, const std::string& value) {
      if (!value.empty()) words.insert(words.end(), {option, value});
    };
    for (const char* option : {"--input", "--shape", "--hold"})
      for (const std::string& value : arguments_.values(option)) add(option, value);
    for (const char* option : {"--weights", "--dtype", "--matmul", "--num-threads", "--transport"})
      add(option, arguments_.value(option));
    words.push_back("--random-inputs");  // for those that are not given
    add("--mesh", strategy.mesh);
    add("--cp", strategy.context);
    if (threads) words.insert(words.end(), {"--threads", "-n", std::to_string(strategy.ranks)});
    add("--repeat", arguments_.value("--repeat", "10"));
    add("--measure", scratch_.path());
    if (arguments_.has("--trace"))
      add("--profile", arguments_.value("--trace") + "/" + std::to_string(strategy.ranks) + "_" +
                           strategy.name + ".json");
    return words;
  }

  const Arguments& arguments_;
  Scratch scratch_;
};

int bench(const Arguments& arguments) {
  if (arguments.words().size() != 1) throw UsageError("bench: one MODEL is wanted");
  const std::string& model = arguments.words()[0];
  if (!is_model(model)) throw UsageError(model + ": a .pt2 file is wanted");
  arguments.number("--repeat", 10, 1);
  std::vector<StrategyChoice> choices;
  for (const int ranks : numbers_of(arguments.value("--ranks", "1,2,4")))
    for (StrategyChoice& choice :
         strategies_on(ranks, words_of(arguments.value("--strategies", "all"))))
      choices.push_back(std::move(choice));
  if (arguments.has("--trace")) {
    std::error_code error;
    std::filesystem::create_directories(arguments.value("--trace"), error);
  }
  const Bench bench(arguments);
  std::vector<BenchResult> results;
  bool failed = false;
  for (const StrategyChoice& choice : choices) {
    results.push_back(bench.run(choice));
    failed = failed || !results.back().measured;
  }
  std::fputs(bench_table(results).c_str(), stdout);
  if (arguments.has("--json")) {
    std::ofstream file(arguments.value("--json"));
    file << bench_json(model, results);
    file.close();
    if (!file) throw UsageError(arguments.value("--json") + ": cannot be written");
  }
  if (arguments.has("--svg"))
    write_charts(arguments.value("--svg"), std::filesystem::path(model).filename().string(),
                 results);
  return failed ? 1 : 0;
}

}  // namespace

Command bench_command() {
  return {
      "bench",
      "bench MODEL [--ranks 1,2,4] [--strategies all] [options]",
      "Runs a model on numbers of ranks under each strategy, and shows times, bytes and memory.",
      "Ranks are processes of this host that share its cores: what one rank has is divided.\n"
      "Strategies: tp, dp, cp:ulysses, cp:ring, cp:gather_kv; where the number of ranks is a\n"
      "product also cp:ulysses+ring, tp+cp:ulysses, tp+cp:ring, dp+tp. A time is the median of\n"
      "--repeat runs after one to warm up; a run's time is that of its slowest rank. Memory of a\n"
      "rank is what it has of weights, activations and state; the peak of its process counts\n"
      "building too. Exit code: 1 when a strategy failed.",
      {{"--ranks", "1,2,4", "numbers of ranks"},
       {"--strategies", "LIST", "of the names above, with commas; all when not given"},
       {"--repeat", "N", "measured runs of each; 10 when not given"},
       {"--json", "FILE", "all numbers"},
       {"--svg", "FOLDER", "charts: latency.svg, speedup.svg, bytes.svg, memory.svg"},
       {"--trace", "FOLDER", "a Chrome trace of one run under each strategy, with all ranks"},
       {"--threads", "", "ranks are threads of one process"},
       {"--num-threads", "N",
        "computing threads of each rank; the cores shared out when not given"},
       {"--transport", "NAME", "between ranks: auto, shm or gloo"},
       {"--input", "FILE", "inputs by the names in FILE; NAME=FILE for one; else random", true},
       {"--shape", "NAME=2x77", "shape of an input that is random and may vary", true},
       {"--hold", "NAME", "computes once what depends on this input alone", true},
       {"--weights", "PATH", "weights by name: .safetensors, .npz, an index or a folder"},
       {"--dtype", "TYPE", "keep, f32 or bf16: what floating-point weights are converted to"},
       {"--matmul", "NAME", "matrix products and convolutions by: auto, own, onednn or plain"}},
      bench};
}

}  // namespace tutti::cli
