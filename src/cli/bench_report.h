// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/measure.h"
#include "cli/strategies.h"

namespace tutti::cli {

/// A strategy and what it took; nothing where it failed.
struct BenchResult {
  StrategyChoice strategy;
  std::optional<Measurement> measured;

  /// Whether some rank has less to compute than one rank alone.
  bool splits() const;
};

/// A row for each result: time, speed-up over one rank, bytes, memory.
std::string bench_table(const std::vector<BenchResult>& results);

/// The same with all numbers: {"model", "results": [...]}.
std::string bench_json(const std::string& model, const std::vector<BenchResult>& results);

/// Charts by ranks and strategy in a folder, which is made: latency.svg, speedup.svg, bytes.svg
/// and memory.svg. Throws UsageError when one cannot be written.
void write_charts(const std::string& folder, const std::string& model,
                  const std::vector<BenchResult>& results);

}  // namespace tutti::cli
