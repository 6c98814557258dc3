// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "comm/deadline.h"
#include "comm/store.h"

namespace tutti::comm {

/// Where a rank of a job is.
struct Member {
  std::string host;           ///< the same text for ranks that can meet by meet_on_host
  std::string address;        ///< its own end of its way to the store
  std::string store_address;  ///< the other end
};

/// Boot, network and user of this process.
std::string host_identity();

/// Tells all ranks who the others are. `name` has been used with this store for nothing else. All
/// get the same error: timeout naming the ranks that did not come, invalid_argument for ranks that
/// disagree on the size or have one number. The store may be closed when all have said farewell.
std::vector<Member> call_roll(Store& store, const std::string& name, int rank, int size,
                              const Member& self, const Deadline& deadline);

/// Says that this rank needs the store no more.
void say_farewell(Store& store, const std::string& name, int rank);
/// Waits until all ranks have; false when some did not in time.
bool await_farewells(Store& store, const std::string& name, int size, const Deadline& deadline);

/// The address at which ranks of other hosts reach `rank`. Rank 0 may know only its own way to
/// itself: then it is the one by which others reached the store.
std::string address_of(const std::vector<Member>& members, int rank);

}  // namespace tutti::comm
