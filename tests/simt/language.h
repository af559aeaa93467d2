// Small kernels that show one thing each; their launches return the launch's error.
#pragma once

#include <cuda_runtime.h>

namespace language {

// out[linear thread of the grid] = a number made of all indices.
cudaError_t indices(dim3 grid, dim3 block, unsigned* out);
// 32 lanes; out[op][lane] with x = lane * 10: idx 3 of width 8, up 2 of width 16, down 3 of width
// 8, xor 1, xor 4 of width 4, a broadcast of a double.
constexpr int kShuffles = 6;
cudaError_t shuffles(double* out);
// One warp; out[i] for each lane: ballot of odd lanes, any(lane == 7), all(lane < 32), match_any of
// lane % 5, reduce_add, reduce_min of -lane, reduce_max of lane ^ 5.
constexpr int kVotes = 7;
cudaError_t votes(int* out);
// Lanes in two halves, each with its own mask and its own number of rounds.
cudaError_t half_warps(int* out);
// Each lane writes how many lanes take the branch with it (lane % 3), by coalesced_threads().
cudaError_t coalesced(int* out);
// 100 threads: out = {count, and, or} of thread < 40 at __syncthreads_*, for each thread.
cudaError_t barrier_votes(int* out);
// Each kind of atomic on one word: add, sub, min, max, and, or, xor, inc, dec, float add, CAS loop.
constexpr int kAtomics = 11;
cudaError_t atomics(unsigned* words, float* sum);
// Reverses n <= 1024 ints through dynamic shared memory of n ints and one more array.
cudaError_t reverse(int n, int* x, std::size_t shared_bytes);
cudaError_t allow_reverse(int bytes);
// out = table[i] * factor from __constant__ memory.
cudaError_t set_table(const float* table);  // 4 floats
cudaError_t constant(float* out);
// Reads shared memory that nobody wrote, as float, half, bfloat16 and int.
cudaError_t poison(float* out, int* as_int);
// Threads ended early may be named by a mask.
cudaError_t ended_lanes(int* out);
// Tiles of 4: sums by cg::reduce, ranks of tiles.
cudaError_t tiles(int* sums, int* ranks);
// Many blocks of one thread each, with a barrier each.
cudaError_t count_blocks(unsigned blocks, unsigned* counter);
// Copies of 16, 8 and 4 bytes with zero fill; waits for groups in order.
cudaError_t copies(const int* x, int* out);

}  // namespace language
