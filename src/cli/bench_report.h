// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/measure.h"

namespace tutti::cli {

/// A strategy as it was judged, and what it took; nothing where it failed.
struct BenchResult {
  int ranks = 1;
  MeshChoice strategy;
  std::optional<Measurement> measured;

  /// Whether some rank has less to compute than one rank alone.
  bool splits() const;
};

/// What --parallel auto takes for a number of ranks, beside what was measured for that number.
struct Choice {
  int ranks = 1;
  MeshChoice taken, best;         ///< the best: least time of those measured
  std::optional<double> of_best;  ///< time of the one taken over the least; nothing unmeasured
};

/// Of what is judged best for a number of ranks.
Choice choice_among(const std::vector<BenchResult>& results, int ranks, const MeshChoice& taken);

/// A row for each result: time, speed-up over one rank, bytes, memory; a line for each choice.
std::string bench_table(const std::vector<BenchResult>& results,
                        const std::vector<Choice>& choices);

/// The same with all numbers: {"model", "results": [...], "auto": [...]}.
std::string bench_json(const std::string& model, const std::vector<BenchResult>& results,
                       const std::vector<Choice>& choices);

/// Charts by ranks and strategy in a folder, which is made: latency.svg, speedup.svg, bytes.svg
/// and memory.svg. Throws UsageError when one cannot be written.
void write_charts(const std::string& folder, const std::string& model,
                  const std::vector<BenchResult>& results);

}  // namespace tutti::cli
