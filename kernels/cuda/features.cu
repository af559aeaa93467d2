// What is done to log-mel features y [clips, bands, frames]: range limiting and standardisation, in
// place.
//
//   top_db            y = max(y, max over the clip - top_db); a NaN stays and enters no maximum
//   standardize_clip  y = (y - mean) / (deviation + eps), mean and deviation over all bands and
//                     valid frames of the clip; 0 in the frames behind them
//   standardize_band  y = (y - mean[band]) inv_std[band]; 0 in the frames behind the valid ones
//
// Mapping: a clip is cut into tiles of 4096 elements, a block of 256 threads makes one, four float4
// a thread, all on their way at once. Rows need not be multiples of four: tiles begin at multiples
// of 16 bytes, and a clip's first and last float4 are moved one by one where others share them.
// Where an element stands in its row comes from one division a float4.
//
// What a clip's tiles have in common takes three kernels in a row: each tile's maximum or
// statistics into the workspace; one block a clip that merges them; and the update. Statistics are
// made in one reading: with the tile in registers its mean comes first, then the sum of the squares
// about it; tiles merge as Chan, Golub and LeVeque do (1979). Sums within a tile are float trees of
// numbers of one size, between tiles double, all in an order that the shape fixes (block_sum.h).
//
// Bound by memory: top_db and standardize_clip read twice and write once, 12 bytes an element, the
// second time from L2 where that holds the batch; standardize_band 8. A batch of 64 clips of
// 128 x 1024 takes at least 0.03 ms at 3350 GB/s.
#include <cmath>
#include <stdexcept>
#include <string>

#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/pack.h"

namespace etude::ETUDE_BACKEND {
namespace {

constexpr int kThreads = 256;
constexpr int kQuads = 4;  // a thread
constexpr int kTile = kThreads * kQuads * 4;

// ---- a clip and its tiles ----------------------------------------------------------------------

// Positions within a clip are int; clips that are longer are refused.
constexpr Index kLongestClip = 0x7fffffff - kTile;

// A clip begins up to three elements behind a multiple of 16 bytes.
int tiles_of_clip(Index size) { return static_cast<int>(ceil_div(size + 3, Index{kTile})); }

// The tile of this block: y + base is its place in memory, a multiple of 16 bytes, and elements
// from <= i < to of it belong to the clip; the first element of the tile is element `first` of the
// clip (negative by up to three).
struct ClipTile {
  Index clip, base;
  int first, from, to;
};

__device__ ClipTile clip_tile(int tiles, int size) {
  ClipTile t;
  t.clip = blockIdx.x / static_cast<unsigned>(tiles);
  const int tile = static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles));
  const Index begin = t.clip * size;
  const int skip = static_cast<int>(begin % 4);
  t.base = (begin + Index{tile} * kTile) & ~Index{3};
  t.first = tile * kTile - skip;
  t.from = max_of(0, -t.first);
  t.to = min_of(kTile, size - t.first);
  return t;
}

__device__ int quad_position(int q) { return (q * kThreads + static_cast<int>(threadIdx.x)) * 4; }

// f(range) with how the tile's quads are moved.
template <class F>
__device__ void with_range(const ClipTile& t, F f) {
  if (t.from == 0 && t.to == kTile)
    f(WholeRange{});
  else
    f(PartRange{t.from, t.to});
}

// ---- top_db ------------------------------------------------------------------------------------

__device__ float larger(float a, float b) { return b > a ? b : a; }

// The maximum over the block, in every thread.
__device__ float block_max(float value) {
  __shared__ float most[kThreads / kWarp];
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    value = larger(value, __shfl_xor_sync(kAllLanes, value, offset));
  if (threadIdx.x % kWarp == 0) most[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = most[0];
#pragma unroll
  for (int w = 1; w < kThreads / kWarp; ++w) value = larger(value, most[w]);
  return value;
}

__global__ void max_of_tiles(int tiles, int size, const float* y, float* tile_max) {
  const ClipTile t = clip_tile(tiles, size);
  const float* const tile = y + t.base;
  float most = -INFINITY;
  with_range(t, [&](auto range) {
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const int at = quad_position(q);
      const Quad v = range(at).load(tile + at, splat<4>(-INFINITY));
#pragma unroll
      for (int i = 0; i < 4; ++i) most = larger(most, v.e[i]);
    }
  });
  most = block_max(most);
  if (threadIdx.x == 0) tile_max[blockIdx.x] = most;
}

// least[clip] = max over the clip - top_db.
__global__ void least_of_clips(int tiles, float top_db, const float* tile_max, float* least) {
  const float* const of_clip = tile_max + Index{blockIdx.x} * tiles;
  float most = -INFINITY;
  for (int i = static_cast<int>(threadIdx.x); i < tiles; i += kThreads)
    most = larger(most, of_clip[i]);
  most = block_max(most);
  if (threadIdx.x == 0) least[blockIdx.x] = most - top_db;
}

__global__ void raise_to_least(int tiles, int size, const float* least, float* y) {
  const ClipTile t = clip_tile(tiles, size);
  float* const tile = y + t.base;
  const float floor = least[t.clip];
  with_range(t, [&](auto range) {
    Quad v[kQuads];
#pragma unroll
    for (int q = 0; q < kQuads; ++q) v[q] = range(quad_position(q)).load(tile + quad_position(q));
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
#pragma unroll
      for (int i = 0; i < 4; ++i) v[q].e[i] = v[q].e[i] < floor ? floor : v[q].e[i];
      range(quad_position(q)).store(tile + quad_position(q), v[q]);
    }
  });
}

// ---- frames ------------------------------------------------------------------------------------

struct Features {
  int bands, frames;
  const std::int64_t* frames_valid;  // may be null
};

__device__ int valid_frames(const Features& p, Index clip) {
  if (!p.frames_valid) return p.frames;
  const std::int64_t n = p.frames_valid[clip];
  return static_cast<int>(max_of(std::int64_t{0}, min_of(std::int64_t{p.frames}, n)));
}

// f(i, band, frame) for every element i that the clip has of a quad, which stands at `position` of
// the clip.
template <class Access, class F>
__device__ void for_each_of_quad(Access quad, int position, int frames, F f) {
  const int first = position + quad.first();
  int band = first / frames, frame = first % frames;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (!quad.has(i)) continue;
    f(i, band, frame);
    const bool last = frame + 1 == frames;
    frame = last ? 0 : frame + 1;
    band += last;
  }
}

// ---- standardize_clip --------------------------------------------------------------------------

// Of the valid elements of a tile: how many, mean, sum of squares about the mean.
struct TileStatistics {
  double count, mean, squares;
};

// Scale and shift of a clip.
struct ClipStandard {
  float mean, factor;
};

// How many of the first n elements of a clip are valid.
__device__ int valid_before(int n, int frames, int valid) {
  return n / frames * valid + min_of(n % frames, valid);
}

__global__ void statistics_of_tiles(int tiles, Features p, const float* y,
                                    TileStatistics* statistics) {
  const ClipTile t = clip_tile(tiles, p.bands * p.frames);
  const float* const tile = y + t.base;
  const int valid = valid_frames(p, t.clip);
  Quad v[kQuads];
  unsigned inside = 0;  // bit 4 q + i: element i of quad q counts
  float sum = 0;
  with_range(t, [&](auto range) {
#pragma unroll
    for (int q = 0; q < kQuads; ++q) v[q] = range(quad_position(q)).load(tile + quad_position(q));
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const int at = quad_position(q);
      float part = 0;
      for_each_of_quad(range(at), t.first + at, p.frames, [&](int i, int, int frame) {
        part += frame < valid ? v[q].e[i] : 0;
        inside |= (frame < valid ? 1u : 0u) << (4 * q + i);
      });
      sum += part;
    }
  });
  const int count = valid_before(t.first + max_of(t.from, t.to), p.frames, valid) -
                    valid_before(t.first + t.from, p.frames, valid);
  // Any number near the mean does: what it is off by is taken into account.
  const float centre = block_sum<kThreads>(sum) / static_cast<float>(max_of(1, count));
  float off = 0, squares = 0;
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    float part = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float d = inside >> (4 * q + i) & 1 ? v[q].e[i] - centre : 0;
      off += d;
      part = fmaf(d, d, part);
    }
    squares += part;
  }
  off = block_sum<kThreads>(off);
  squares = block_sum<kThreads>(squares);
  if (threadIdx.x != 0) return;
  const double n = max_of(1, count), shift = static_cast<double>(off) / n;
  statistics[blockIdx.x] = {static_cast<double>(count), static_cast<double>(centre) + shift,
                            static_cast<double>(squares) - n * shift * shift};
}

__global__ void merge_statistics(int tiles, double eps, const TileStatistics* statistics,
                                 ClipStandard* standard) {
  const TileStatistics* const of_clip = statistics + Index{blockIdx.x} * tiles;
  double count = 0, sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < tiles; i += kThreads) {
    count += of_clip[i].count;
    sum += of_clip[i].count * of_clip[i].mean;
  }
  count = block_sum<kThreads>(count);
  if (count < 1) count = 1;
  const double mean = block_sum<kThreads>(sum) / count;
  double squares = 0;
  for (int i = static_cast<int>(threadIdx.x); i < tiles; i += kThreads) {
    const double d = of_clip[i].mean - mean;
    squares += of_clip[i].squares + of_clip[i].count * d * d;
  }
  squares = block_sum<kThreads>(squares);
  if (threadIdx.x != 0) return;
  if (squares < 0) squares = 0;
  standard[blockIdx.x] = {static_cast<float>(mean),
                          static_cast<float>(1 / (sqrt(squares / count) + eps))};
}

__global__ void standardize_clips(int tiles, Features p, const ClipStandard* standard, float* y) {
  const ClipTile t = clip_tile(tiles, p.bands * p.frames);
  float* const tile = y + t.base;
  const int valid = valid_frames(p, t.clip);
  const ClipStandard s = standard[t.clip];
  with_range(t, [&](auto range) {
    Quad v[kQuads];
#pragma unroll
    for (int q = 0; q < kQuads; ++q) v[q] = range(quad_position(q)).load(tile + quad_position(q));
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const int at = quad_position(q);
      for_each_of_quad(range(at), t.first + at, p.frames, [&](int i, int, int frame) {
        v[q].e[i] = frame < valid ? (v[q].e[i] - s.mean) * s.factor : 0;
      });
      range(at).store(tile + at, v[q]);
    }
  });
}

// ---- standardize_band --------------------------------------------------------------------------

__global__ void standardize_bands(int tiles, Features p, const float* __restrict__ mean,
                                  const float* __restrict__ inv_std, float* y) {
  const ClipTile t = clip_tile(tiles, p.bands * p.frames);
  float* const tile = y + t.base;
  const int valid = valid_frames(p, t.clip);
  with_range(t, [&](auto range) {
    Quad v[kQuads];
#pragma unroll
    for (int q = 0; q < kQuads; ++q) v[q] = range(quad_position(q)).load(tile + quad_position(q));
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const int at = quad_position(q);
      for_each_of_quad(range(at), t.first + at, p.frames, [&](int i, int band, int frame) {
        v[q].e[i] = frame < valid ? (v[q].e[i] - mean[band]) * inv_std[band] : 0;
      });
      range(at).store(tile + at, v[q]);
    }
  });
}

// ---- launches ----------------------------------------------------------------------------------

void check_length(Index size) {
  if (size > kLongestClip)
    throw std::runtime_error("cuda: a clip of " + std::to_string(size) + " elements is too long");
}

Features features(const StandardizeShape& p, const std::int64_t* frames_valid) {
  check_length(p.bands * p.frames);
  return {static_cast<int>(p.bands), static_cast<int>(p.frames), frames_valid};
}

LaunchShape blocks(Stream s, Index count) {
  return {.grid = grid_for(count, 1), .block = kThreads, .stream = stream_of(s)};
}

}  // namespace

// The maximum of every tile, then the floor of every clip.
std::size_t top_db_workspace(Index clips, Index size) {
  return static_cast<std::size_t>(clips * (tiles_of_clip(size) + 1)) * sizeof(float);
}

void top_db(Stream s, Index clips, Index size, double top_db, T* y, void* work) {
  check_length(size);
  if (size == 0) return;
  const int tiles = tiles_of_clip(size), n = static_cast<int>(size);
  auto* const tile_max = static_cast<float*>(work);
  float* const least = tile_max + clips * tiles;
  ETUDE_CUDA(launch(blocks(s, clips * tiles), max_of_tiles, tiles, n, y, tile_max));
  ETUDE_CUDA(
      launch(blocks(s, clips), least_of_clips, tiles, static_cast<float>(top_db), tile_max, least));
  ETUDE_CUDA(launch(blocks(s, clips * tiles), raise_to_least, tiles, n, least, y));
}

// The statistics of every tile, then mean and factor of every clip.
std::size_t standardize_clip_workspace(const StandardizeShape& p) {
  const Index tiles = tiles_of_clip(p.bands * p.frames);
  return static_cast<std::size_t>(p.clips) *
         (static_cast<std::size_t>(tiles) * sizeof(TileStatistics) + sizeof(ClipStandard));
}

void standardize_clip(Stream s, const StandardizeShape& p, const std::int64_t* frames_valid, T* y,
                      void* work) {
  const Features shape = features(p, frames_valid);
  if (p.bands * p.frames == 0) return;
  const int tiles = tiles_of_clip(p.bands * p.frames);
  auto* const statistics = static_cast<TileStatistics*>(work);
  auto* const standard = reinterpret_cast<ClipStandard*>(statistics + p.clips * tiles);
  ETUDE_CUDA(launch(blocks(s, p.clips * tiles), statistics_of_tiles, tiles, shape, y, statistics));
  ETUDE_CUDA(launch(blocks(s, p.clips), merge_statistics, tiles, p.eps, statistics, standard));
  ETUDE_CUDA(launch(blocks(s, p.clips * tiles), standardize_clips, tiles, shape, standard, y));
}

void standardize_band(Stream s, const StandardizeShape& p, const std::int64_t* frames_valid,
                      const T* mean, const T* inv_std, T* y) {
  const Features shape = features(p, frames_valid);
  if (p.bands * p.frames == 0) return;
  const int tiles = tiles_of_clip(p.bands * p.frames);
  ETUDE_CUDA(launch(blocks(s, p.clips * tiles), standardize_bands, tiles, shape, mean, inv_std, y));
}

}  // namespace etude::ETUDE_BACKEND
