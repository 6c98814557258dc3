// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "comm/arrival.h"
#include "comm/gloo/lane.h"
#include "comm/gloo/options.h"
#include "comm/gloo/wire.h"
#include "comm/shm/segment.h"
#include "comm/tcp/group.h"

namespace tutti::comm {

/// What the groups of one rank have in common: where it is, and what proves who it is.
struct Site {
  std::string secret;
  std::shared_ptr<WireDevice> device;
  std::vector<std::string> hosts;  ///< of each outermost rank
  TcpOptions options;
  bool hierarchical = false;
};

/// The lanes of one rank in a group: one for collectives and one for sends and recvs to each other
/// rank, over TCP, or in shared memory to those of its host when the group is hierarchical.
class Lanes {
 public:
  /// Connects to all members, which all do the same. Throws what `group` decides: timeout naming
  /// who did not come, comm for who died.
  Lanes(TcpGroup& group, const Site& site);
  ~Lanes();

  Lane& collective(int r) { return *lanes_[static_cast<size_t>(r)][0]; }
  Lane& pairs(int r) { return *lanes_[static_cast<size_t>(r)][1]; }
  /// Ends at once what has begun to be sent.
  void close();
  /// Waits until what was sent has come.
  void drain(TcpGroup& group);

  /// The index of each rank's host, in the order of first ranks; all 0 unless hierarchical.
  const std::vector<int>& hosts() const { return hosts_; }
  const Site& site() const { return site_; }
  /// Bytes of the largest message of a lane for collectives, and of one for pairs.
  size_t capacity() const { return shapes_[0].capacity(); }
  size_t pair_capacity() const { return shapes_[1].capacity(); }

 private:
  using Pair = std::array<std::unique_ptr<Lane>, 2>;
  bool is_near(int r) const;
  size_t bytes() const { return shapes_[0].bytes() + shapes_[1].bytes(); }
  void meet(TcpGroup& group, Arrival& arrival);
  void share_memory(TcpGroup& group, const Arrival& arrival);
  void connect(TcpGroup& group, const Arrival& arrival);
  void greet(TcpGroup& group, const Arrival& arrival);

  Site site_;
  int rank_;
  std::vector<int> hosts_;
  std::array<Lane::Shape, 2> shapes_;
  std::vector<std::string> addresses_;   // of wires, by rank
  std::shared_ptr<Segment> near_, far_;  // memory of lanes
  std::unique_ptr<Wire> wire_;
  std::vector<Pair> lanes_;  // by rank; before the wire is gone
};

}  // namespace tutti::comm
