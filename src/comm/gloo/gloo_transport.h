// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>

#include "comm/gloo/by_hosts.h"
#include "comm/gloo/form.h"
#include "comm/tcp/group.h"
#include "comm/transport.h"

namespace tutti::comm {

/// Ranks of several hosts, or of one, connected by TCP.
///
/// A collective begins with a message from each rank to each other that says what it is about to
/// run, and carries the data when they are short. Longer data follow in pieces: each rank reduces
/// its part in the order of ranks, so that results are those of ShmTransport bit by bit.
///
/// A `hierarchical` group shares memory between ranks of one host, and sends what goes to another
/// host once instead of once for each of its ranks; sums are then formed host by host.
class GlooTransport : public Transport {
 public:
  GlooTransport(std::shared_ptr<Control> control, const Site& site, const std::string& name,
                std::vector<int> members, const std::string& outermost, double deadline_s);
  ~GlooTransport() override;

  int rank() const override { return group_.rank(); }
  int size() const override { return group_.size(); }
  void run(const Collective& c, uint64_t number, uint64_t label_hash, const void* in,
           void* out) override;
  void open(Pair& pair, uint64_t label_hash) override;
  bool advance(Pair& pair) override;
  void idle(const Pair& blame, int64_t since_ns, int rounds) override;
  void set_deadline(double seconds) override { group_.set_deadline(seconds); }
  std::unique_ptr<Transport> split(const std::string& name,
                                   const std::vector<int>& members) override;
  void abort_group(const std::string& reason) noexcept override;
  std::vector<std::vector<Entry>> history() const override;

 private:
  // One collective on its way.
  struct Work {
    const Collective& c;
    Record& record;
    const std::byte* in;
    std::byte* out;
    size_t element;  // bytes
    Courier courier;
  };
  using Blocks = std::array<Block, kMostRanks>;
  using Inputs = std::array<const void*, kMostRanks>;

  // agree.cpp: what each gives and gets in all, and the first message.
  Block gives(const Work& w, int r) const;
  size_t gets(const Work& w, int r) const;
  std::byte* place_of(const Work& w, int r) const;
  bool is_short(const Work& w) const;
  size_t head_bytes(const Work& w) const;
  size_t ahead(const Work& w, size_t bytes) const;
  void agree(Work& w);
  void compare(Work& w);
  void compare_counts(Work& w);
  void finish_short(Work& w);

  // exchange.cpp: what follows.
  size_t piece_bytes(size_t bytes) const;
  template <class Take>
  void exchange(Work& w, const Blocks& out, const Blocks& in, size_t piece, const Take& take);
  void move_blocks(Work& w);
  void take_ahead(Work& w, Blocks& out, Blocks& in);
  void reduce_scatter(Work& w);
  void all_reduce(Work& w);
  void reduce_part(Work& w, size_t at, size_t bytes);
  void reduce_pieces(const Work& w, Inputs& ins, void* out, size_t bytes);

  bool goes_by_hosts(const Work& w) const;

  // pairs.cpp
  bool advance_send(Pair& pair, Lane& lane);
  bool advance_recv(Pair& pair, Lane& lane);

  mutable TcpGroup group_;
  Lanes lanes_;
  HostMap hosts_;
  std::vector<std::byte> kept_;  // for reductions by hosts
  bool suspect_ = false;         // a peer was gone, or late, at the last look
};

}  // namespace tutti::comm
