// SPDX-License-Identifier: Apache-2.0
#include "cli/gather.h"

#include <algorithm>

namespace tutti::cli {

std::vector<std::vector<double>> gather_numbers(Communicator& ranks,
                                                const std::vector<double>& own) {
  const auto size = static_cast<size_t>(ranks.size());
  std::vector<double> all(ranks.rank() == 0 ? own.size() * size : 0);
  ranks.run({.kind = comm::Kind::gather,
             .dtype = DType::f64,
             .count = static_cast<int64_t>(own.size()),
             .label = "numbers of ranks"},
            own.data(), all.data());
  std::vector<std::vector<double>> by_rank;
  for (size_t at = 0; at < all.size(); at += own.size())
    by_rank.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(at),
                         all.begin() + static_cast<std::ptrdiff_t>(at + own.size()));
  return by_rank;
}

std::vector<std::string> gather_texts(Communicator& ranks, const std::string& own) {
  const auto size = static_cast<size_t>(ranks.size());
  const auto length = static_cast<int64_t>(own.size());
  std::vector<int64_t> lengths(size);
  ranks.run({.kind = comm::Kind::all_gather,
             .dtype = DType::i64,
             .count = 1,
             .label = "lengths of texts"},
            &length, lengths.data());
  const auto longest = static_cast<size_t>(*std::max_element(lengths.begin(), lengths.end()));
  std::string padded = own;
  padded.resize(longest);
  std::string all(ranks.rank() == 0 ? longest * size : 0, '\0');
  ranks.run({.kind = comm::Kind::gather,
             .dtype = DType::u8,
             .count = static_cast<int64_t>(longest),
             .label = "texts of ranks"},
            padded.data(), all.data());
  std::vector<std::string> texts;
  for (size_t r = 0; r < size && !all.empty(); ++r)
    texts.push_back(all.substr(r * longest, static_cast<size_t>(lengths[r])));
  return texts;
}

}  // namespace tutti::cli
