// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/spawn.h"

namespace tutti::cli {

/// A rank to start.
struct RankProgram {
  int rank = 0;
  Program program;
};

/// How ranks are run together.
struct GroupOptions {
  std::string title = "tutti launch";  ///< begins the report
  double timeout_s = 0;                ///< 0: as long as it takes
  double grace_s = 5;                  ///< between SIGTERM and SIGKILL
  std::string log_folder;              ///< for rank{r}.out and rank{r}.err; empty: none
  /// Lines of all ranks after "[rank] "; else those of the first rank as they are, and of the
  /// others only what the report of a failure quotes.
  bool show_all = true;
};

/// Runs ranks until all have ended, and gives the exit code: 0, or that of the first that failed,
/// with 128 + signal for signals; 124 when they took longer than timeout_s.
///
/// When one fails, or this process is told to end (SIGINT, SIGTERM, SIGHUP, SIGQUIT), the process
/// groups of all others get SIGTERM and after the grace SIGKILL, and standard error tells who
/// failed first. No process that a rank started outlives the call, nor this process, however that
/// ends. The first rank has this process's standard input. Called while the process has one thread.
int run_process_group(const std::vector<RankProgram>& ranks, const GroupOptions& options);

}  // namespace tutti::cli
