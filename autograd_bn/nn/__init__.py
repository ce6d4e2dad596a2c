from autograd_bn.nn import functional
