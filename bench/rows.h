// The driver: rows for Google Benchmark from problems and providers, and what they gave.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/result.h"
#include "bench/runner.h"
#include "bench/suite.h"

namespace etude::bench {

struct RowOptions {
  std::vector<std::string> caches = {"warm", "cold"};
  std::vector<int> threads;         // a row for each
  std::map<int, Machine> machines;  // by number of threads; 0: the GPU
  double seconds = 0.2;             // a row, at least
};

// A row for each problem, number of threads, state of the caches and provider that has the kernel;
// for whole pieces of work the caches' state has no meaning, and they are "warm". With `counts` a
// row of etude:simt for each problem of kernels.
void register_rows(const std::vector<SuiteRow>& suite, const std::vector<Provider>& providers,
                   const RowOptions& options, bool counts);

// Runs the rows that the flags of Google Benchmark select, and prints a table as it goes.
std::vector<Result> run_rows();

// Every selected problem once with each provider, without warm-up, checks or timing loop: for a
// profiler.
void profile_once(const std::vector<SuiteRow>& suite, const std::vector<Provider>& providers);

// Largest difference from the reference, by the reference's largest number, on a part of the
// problem that the reference can do in a moment.
double error_of(const Problem& problem, const Inputs& inputs, Runner& runner);
// Two calls into buffers with other numbers give the same bits.
bool repeats(Runner& runner);

}  // namespace etude::bench
