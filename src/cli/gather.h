// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "tutti/tutti.h"

namespace tutti::cli {

/// What each rank has to say, by rank; on rank 0 only, elsewhere empty. All ranks call it at once,
/// numbers with as many on each.
std::vector<std::vector<double>> gather_numbers(Communicator& ranks,
                                                const std::vector<double>& own);
std::vector<std::string> gather_texts(Communicator& ranks, const std::string& own);

}  // namespace tutti::cli
