// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/arguments.h"

namespace tutti::cli {

/// `options`, and after them --parallel and --memory-limit.
std::vector<Option> with_parallel_options(std::vector<Option> options);

/// The line of a command on a model with --mesh and --cp in place of --parallel auto: those of the
/// first choice of judge_meshes for -n ranks. Prints what was judged, by what this machine was once
/// measured to do, which is kept in the user's cache folder.
///
/// Throws UsageError where no way fits --memory-limit, and for options that contradict each other.
std::vector<std::string> with_judged_mesh(const Arguments& arguments);

}  // namespace tutti::cli
