// Batch norm, ReLU and max-pooling: their definitions, one after the other.
#include "kernels/batch_norm_pool.h"

namespace etude::ETUDE_BACKEND {

std::size_t batch_norm_pool_kept(const BatchNormShape&, const Pool2dShape& d) {
  return composed::norm_pool_kept(d);
}

std::size_t batch_norm_pool_forward_workspace(const BatchNormShape& p, const Pool2dShape&) {
  return composed::norm_pool_forward_workspace(p);
}
void batch_norm_pool_forward(Stream s, const BatchNormShape& p, const Pool2dShape& d, const T* x,
                             const T* gamma, const T* beta, T* running_mean, T* running_var, T* y,
                             T* mean, T* inv_std, void* kept, void* work) {
  composed::norm_pool_forward(s, p, d, x, gamma, beta, running_mean, running_var, y, mean, inv_std,
                              kept, work);
}

std::size_t batch_norm_pool_backward_workspace(const BatchNormShape& p, const Pool2dShape& d) {
  return composed::norm_pool_backward_workspace(p, d);
}
void batch_norm_pool_backward(Stream s, const BatchNormShape& p, const Pool2dShape& d, const T* x,
                              const T* y, void* kept, const T* dy, const T* gamma, const T* mean,
                              const T* inv_std, T* dx, T* dgamma, T* dbeta, void* work) {
  composed::norm_pool_backward(s, p, d, x, y, kept, dy, gamma, mean, inv_std, dx, dgamma, dbeta,
                               work);
}

}  // namespace etude::ETUDE_BACKEND
