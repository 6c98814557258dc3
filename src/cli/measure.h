// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "tutti/tutti.h"

namespace tutti::cli {

/// Runs of an engine on all of its ranks, by run or by rank.
struct Measurement {
  std::vector<double> times_ms;       ///< of each run, on the rank that took longest
  std::vector<double> bytes_sent;     ///< by each rank in a run
  std::vector<double> flops;          ///< of each rank in a run
  double network_flops = 0;           ///< of one rank, were it alone
  std::vector<double> session_bytes;  ///< activations, workspace and state of each rank
  std::vector<double> weight_bytes;   ///< of weights that each rank reads
  std::vector<double> peak_bytes;     ///< of each rank's process so far: resident, building too

  /// The middle one of times_ms.
  double median_ms() const;
};

/// Measures `count` runs; all ranks call it at once. Rank 0's result is of all, others' is empty.
Measurement measure(Session& session, const PlanInfo& plan, const TensorMap& inputs, int count,
                    Communicator& ranks);

/// As a file of tensors.
void save_measurement(const std::string& path, const Measurement& measurement);
Measurement load_measurement(const std::string& path);

}  // namespace tutti::cli
