// SPDX-License-Identifier: Apache-2.0
#include "ops/matmul.h"

#include "ops/elementwise.h"
#include "ops/infer.h"
#include "ops/loops.h"
#include "ops/sums.h"

namespace tutti {
namespace {

// A matrix product of one batch: operands at their first element, strides in elements.
template <class T>
struct Product {
  const T *a, *b, *c;  // c may be null
  T* y;
  int64_t k, n;
  int64_t a_row, a_column, b_row, b_column, c_row, c_column, y_row, y_column;
};

// Rows [begin, end) of y, in tiles small enough for the registers and the first cache: each element
// of b is converted once for a tile.
template <class T>
void multiply_rows(const Product<T>& p, int64_t begin, int64_t end) {
  constexpr int64_t kRows = 4, kColumns = 64;
  using Sum = SumType<T>;
  for (int64_t i0 = begin; i0 < end; i0 += kRows) {
    const int64_t rows = std::min(kRows, end - i0);
    for (int64_t j0 = 0; j0 < p.n; j0 += kColumns) {
      const int64_t columns = std::min(kColumns, p.n - j0);
      Sum sums[kRows][kColumns] = {};
      for (int64_t l = 0; l < p.k; ++l) {
        Sum right[kColumns];
        const T* b = p.b + l * p.b_row + j0 * p.b_column;
        for (int64_t j = 0; j < columns; ++j) right[j] = to_sum(b[j * p.b_column]);
        for (int64_t i = 0; i < rows; ++i) {
          const Sum left = to_sum(p.a[(i0 + i) * p.a_row + l * p.a_column]);
          for (int64_t j = 0; j < columns; ++j) sums[i][j] += left * right[j];
        }
      }
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < columns; ++j) {
          Sum sum = sums[i][j];
          if (p.c) sum += to_sum(p.c[(i0 + i) * p.c_row + (j0 + j) * p.c_column]);
          p.y[(i0 + i) * p.y_row + (j0 + j) * p.y_column] = from_sum<T>(sum);
        }
      }
    }
  }
}

// The strides of the leading axes of an operand broadcast to `shape`.
Dims leading_strides(const Tensor& tensor, const Dims& shape) {
  Tensor leading = tensor;
  for (Dims* dims : {&leading.shape, &leading.strides}) {
    dims->erase(dims->rank() - 1);
    dims->erase(dims->rank() - 1);
  }
  return broadcast_strides(leading, shape);
}

}  // namespace

std::vector<TensorType> Matmul::infer(Types in) const {
  require_operands(in, 2, 3);
  const TensorType &a = in[0], &b = in[1];
  require_number("a", a);
  require_rank("a", a, 2);
  require_rank("b", b, 2);
  require_dtype("b", b, a.dtype);
  same_extent(a.shape.back(), "b", b, b.rank() - 2);
  const Shape a_batch(a.shape.begin(), a.shape.end() - 2),
      b_batch(b.shape.begin(), b.shape.end() - 2);
  Shape shape = broadcast(a_batch, b_batch);
  shape.push_back(a.shape[a.shape.size() - 2]);
  shape.push_back(b.shape.back());
  if (in.size() == 3) {
    require_dtype("c", in[2], a.dtype);
    shape = broadcast_to(shape, "c", in[2]);
  }
  return {{a.dtype, shape}};
}

void Matmul::cpu(const KernelArgs& args) const {
  const Tensor &a = args.in[0], &b = args.in[1], &y = args.out[0];
  const int row = y.rank() - 2, column = y.rank() - 1;
  const int64_t m = y.shape[row], n = y.shape[column], k = a.shape.back();
  if (y.elements() == 0) return;
  Dims batch = y.shape, y_batch = y.strides;
  for (Dims* dims : {&batch, &y_batch}) dims->erase(column), dims->erase(row);
  const Dims a_batch = leading_strides(a, batch), b_batch = leading_strides(b, batch);
  const bool addend = args.in.size() == 3;
  const Dims c_strides =
      addend ? broadcast_strides(args.in[2], y.shape) : Dims::filled(y.rank(), 0);
  Dims c_batch = c_strides;
  c_batch.erase(column), c_batch.erase(row);
  with_dtype(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_ranges(
        args.pool, elements(batch) * m, 1 + 65536 / (1 + k * n), [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end;) {
            const int64_t which = i / m, first = i % m;
            const int64_t rows = std::min(m - first, end - i);
            const Product<T> product{
                a.as<const T>() + offset_at(which, batch, a_batch),
                b.as<const T>() + offset_at(which, batch, b_batch),
                addend ? args.in[2].as<const T>() + offset_at(which, batch, c_batch) : nullptr,
                y.as<T>() + offset_at(which, batch, y_batch),
                k,
                n,
                a.strides[a.rank() - 2],
                a.strides[a.rank() - 1],
                b.strides[b.rank() - 2],
                b.strides[b.rank() - 1],
                c_strides[row],
                c_strides[column],
                y.strides[row],
                y.strides[column]};
            multiply_rows(product, first, first + rows);
            i += rows;
          }
        });
  });
}

}  // namespace tutti
