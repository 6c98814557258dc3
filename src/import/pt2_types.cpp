// SPDX-License-Identifier: Apache-2.0
#include "import/pt2_types.h"

#include <array>
#include <string_view>

namespace tutti::pt2 {
namespace {

struct Row {
  int64_t number;
  std::string_view name;
  std::optional<ElementType> type;
};

// ScalarType of torch/_export/serde/schema.py, schema 8.20.
constexpr std::array<Row, 22> kRows = {{{0, "UNKNOWN", {}},
                                        {1, "BYTE", ElementType{DType::u8}},
                                        {2, "CHAR", ElementType{DType::i8}},
                                        {3, "SHORT", ElementType{DType::i16}},
                                        {4, "INT", ElementType{DType::i32}},
                                        {5, "LONG", ElementType{DType::i64}},
                                        {6, "HALF", ElementType{DType::f16}},
                                        {7, "FLOAT", ElementType{DType::f32}},
                                        {8, "DOUBLE", ElementType{DType::f64}},
                                        {9, "COMPLEXHALF", ElementType{DType::f16, true}},
                                        {10, "COMPLEXFLOAT", ElementType{DType::f32, true}},
                                        {11, "COMPLEXDOUBLE", ElementType{DType::f64, true}},
                                        {12, "BOOL", ElementType{DType::boolean}},
                                        {13, "BFLOAT16", ElementType{DType::bf16}},
                                        {28, "UINT16", {}},
                                        {29, "FLOAT8E4M3FN", ElementType{DType::f8_e4m3}},
                                        {30, "FLOAT8E5M2", ElementType{DType::f8_e5m2}},
                                        {31, "FLOAT8E4M3FNUZ", {}},
                                        {32, "FLOAT8E5M2FNUZ", {}},
                                        {33, "FLOAT8E8M0FNU", {}},
                                        {34, "UINT32", {}},
                                        {35, "UINT64", {}}}};

const Row* find_row(int64_t number) {
  for (const Row& row : kRows)
    if (row.number == number) return &row;
  return nullptr;
}

}  // namespace

std::optional<ElementType> element_type(int64_t scalar_type) {
  const Row* row = find_row(scalar_type);
  return row == nullptr ? std::nullopt : row->type;
}

std::string scalar_type_name(int64_t scalar_type) {
  const Row* row = find_row(scalar_type);
  return row == nullptr ? std::to_string(scalar_type) : std::string(row->name);
}

}  // namespace tutti::pt2
