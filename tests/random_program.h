// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "plain.h"
#include "tutti/tutti.h"

namespace tutti {

/// What a program is given in one run, by input and rank.
using RunInputs = std::vector<OnRanks>;

/// A random program of 2 to 5 ranks, which is built for each rank and simulated for all of them.
///
/// Its numbers are small integers, so that results are exact whatever the order of a sum.
class RandomProgram {
 public:
  explicit RandomProgram(unsigned seed);

  int ranks() const { return ranks_; }
  /// Rank's part of the program, and the groups that it is bound with.
  GraphBuilder build(int rank) const;
  const RankGroups& groups(int rank) const { return groups_[static_cast<size_t>(rank)]; }

  static constexpr size_t kInputs = 3;
  static std::string input_name(size_t input) { return "x" + std::to_string(input); }
  /// The input that is held: the last.
  static std::string held() { return input_name(kInputs - 1); }
  DType input_type(size_t input) const { return values_[input].dtype; }

  /// Inputs of a next run; the one that is held changes now and then.
  RunInputs next_inputs();
  /// Outputs y0, y1, ... of a next run: the state is that which the one before left.
  std::vector<OnRanks> simulate(const RunInputs& inputs);

 private:
  friend class RandomCollectives;

  // A value of the program.
  struct Value {
    DType dtype = DType::f32;
    std::vector<Plain::Shape> shapes;  // by rank
    double largest = 0;                // no element is larger

    const Plain::Shape& shape() const { return shapes[0]; }
    bool even() const {  // the same shape on all ranks
      return std::all_of(shapes.begin(), shapes.end(), [&](auto& s) { return s == shape(); });
    }
    int64_t extent(size_t axis) const { return shape()[axis]; }
  };
  using Emit = std::function<Expression(GraphBuilder&, const std::vector<Expression>&, int rank)>;
  using Simulate = std::function<OnRanks(const std::vector<OnRanks>&)>;
  struct Instruction {
    std::vector<size_t> operands;
    Emit emit;
    Simulate simulate;
  };

  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  bool chance(int in) { return pick(1, in) == 1; }
  size_t axis_of(const Value& x) {
    return static_cast<size_t>(pick(0, static_cast<int>(x.shape().size()) - 1));
  }
  Plain random_plain(const Plain::Shape& shape, double largest);
  DType random_dtype();
  Plain::Shape random_shape();
  /// A value with small elements; with the same shape on all ranks, unless that is no matter.
  size_t any(bool even = true);
  /// Another value of the same type and shape as x, or a new one.
  size_t any_like(size_t x);
  /// Adds a value unless its elements may be too large for its type, and one modulo 7 where they
  /// are too large to go on with.
  void add(Value value, Instruction instruction);
  /// A function of each rank's operands.
  void add_on_each(Value value, std::vector<size_t> operands,
                   std::function<Expression(const std::vector<Expression>&)> emit,
                   std::function<Plain(const std::vector<Plain>&)> simulate);

  void unary();
  void binary();
  void convert();
  void permute();
  void reshape();
  void cut();
  void join();
  void overwrite();
  void sum_axis();
  void multiply();
  size_t fixed(DType dtype, const Plain::Shape& shape);
  void finish();

  std::mt19937 random_;
  int ranks_;
  std::vector<Value> values_;  // inputs, states, and what each instruction gives
  std::vector<Instruction> instructions_;
  std::vector<size_t> outputs_;
  std::vector<OnRanks> first_states_, states_;
  std::vector<size_t> updates_;  // by state: the value that it becomes
  std::vector<RankGroups> groups_;
  RunInputs inputs_;
};

/// The instructions in which ranks exchange tensors.
class RandomCollectives {
 public:
  explicit RandomCollectives(RandomProgram& program) : p_(program) {}
  void add();

 private:
  using Value = RandomProgram::Value;

  // Whom an operator runs on: as it names them on each rank, and what lists these are.
  struct Where {
    std::vector<Ranks> named;
    RankLists lists;
    int64_t size = 1;
  };
  using OfList = std::function<Plain(const std::vector<Plain>& x, size_t position)>;

  // any_size: the operator does without being told how many ranks there are.
  Where some_ranks(bool any_size = false);
  size_t with_multiple(int64_t n, size_t* axis);
  std::string reduction(const Value& x, int64_t ranks, double* largest);
  void add_on(const Where& where, size_t x, Value y,
              std::function<Expression(const Expression&, const Ranks&)> emit, OfList of_list);

  void reduce();
  void gather();
  void scatter();
  void broadcast_root();
  void exchange();
  void exchange_uneven();
  void send_around();
  void add_rank();

  RandomProgram& p_;
};

}  // namespace tutti
