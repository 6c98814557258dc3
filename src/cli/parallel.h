// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "cli/arguments.h"
#include "tutti/tutti.h"

namespace tutti::cli {

/// `options`, and after them --parallel and --memory-limit.
std::vector<Option> with_parallel_options(std::vector<Option> options);

/// Shapes of all inputs of the model of a command's line: those of its --input and --shape, others
/// as the model was exported with.
InputShapes shapes_to_judge(const Arguments& arguments);

/// The ways for so many ranks to run the model with these shapes, the best first: judged by what
/// this machine was once measured to do, which is kept in the user's cache folder.
std::vector<MeshChoice> judged_ways(const Arguments& arguments, const InputShapes& shapes,
                                    int ranks, size_t memory_limit = 0);

/// The line of a command on a model with --mesh and --cp in place of --parallel auto: those of the
/// first of judged_ways for -n ranks, which are printed.
///
/// Throws UsageError where no way fits --memory-limit, for options that contradict each other, and
/// for those that want --parallel.
Arguments with_judged_mesh(const Arguments& arguments, const Command& command);

}  // namespace tutti::cli
