// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "comm/record.h"
#include "comm/transport.h"

namespace tutti::comm {

/// A collective that was started; wait for it once.
struct Request {
  uint64_t id = 0;
};

/// One rank's end of a group whose ranks exchange tensors.
///
/// Every rank calls the same collectives with the same dtype, reduction, root, count and label in
/// the same order, from one thread; in and out are contiguous. A difference is refused on all ranks
/// before any out is written. Every wait for a peer ends at deadline_s(). After a failure every
/// call on this group, and on those split from the same first group, throws the same Error on all
/// ranks: timeout, comm or invalid_argument; buffers are free then, and only destruction is left.
/// Results do not depend on timing and have the same bits on every rank.
class Communicator {
 public:
  Communicator(std::unique_ptr<Transport> transport, std::string name);
  /// Fails the group when collectives are outstanding.
  ~Communicator();
  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) noexcept;

  int rank() const;
  int size() const;
  const std::string& name() const;
  double deadline_s() const;
  /// Seconds, more than 0; groups that are split later inherit it.
  void set_deadline(double seconds);

  /// Runs a collective to its end. in and out may be the same where a rank's part of the one lies
  /// in its place in the other: all of it for all_reduce, reduce, broadcast, all_to_all and
  /// all_to_all_v with sends equal to receives; block rank() of the larger one else. What does not
  /// take part may be null. Throws invalid_argument, and sends nothing, for what cannot be.
  void run(const Collective& c, const void* in, void* out);

  /// Begins a collective and returns; a thread of the communicator moves it while the caller
  /// computes. Collectives end in the order of starts, sends and recvs that follow each other in
  /// any order. in, out, c.sends and c.receives stay as they are until wait returns or throws. With
  /// kOutstanding on their way, start waits for the oldest. Allocates nothing after the first.
  Request start(const Collective& c, const void* in, void* out);
  void wait(Request request);
  static constexpr int kOutstanding = 64;

  /// run with contiguous tensors whose shapes give the count: in and out have the same number of
  /// elements in all_reduce, reduce, broadcast and all_to_all; the larger one has size() times as
  /// many else. Tensors of ranks that take no part may be left empty.
  void all_reduce(Reduce reduce, const Tensor& in, const Tensor& out, std::string_view label = {});
  void reduce(Reduce reduce, int root, const Tensor& in, const Tensor& out,
              std::string_view label = {});
  void reduce_scatter(Reduce reduce, const Tensor& in, const Tensor& out,
                      std::string_view label = {});
  void all_gather(const Tensor& in, const Tensor& out, std::string_view label = {});
  void gather(int root, const Tensor& in, const Tensor& out, std::string_view label = {});
  void scatter(int root, const Tensor& in, const Tensor& out, std::string_view label = {});
  void broadcast(int root, const Tensor& tensor, std::string_view label = {});
  void all_to_all(const Tensor& in, const Tensor& out, std::string_view label = {});
  void all_to_all_v(const Tensor& in, std::span<const int64_t> sends, const Tensor& out,
                    std::span<const int64_t> receives, std::string_view label = {});
  void send(int to, const Tensor& tensor, std::string_view label = {});
  void recv(int from, const Tensor& tensor, std::string_view label = {});
  void barrier(std::string_view label = {});

  /// The group of all ranks that give the same colour, ordered by key, then by rank here; none for
  /// a negative colour. Called by all ranks.
  std::optional<Communicator> split(int colour, int key);

  /// Fails the group on all ranks with this reason; any thread may call it.
  void abort_group(std::string_view reason);

  /// The last 32 collectives of each rank, oldest first, also after a failure; any thread may call.
  std::vector<std::vector<Entry>> history() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// history() for people: a line for each entry, by rank.
std::string to_text(const std::vector<std::vector<Entry>>& history);

}  // namespace tutti::comm
