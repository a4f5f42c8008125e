! Collectives from Fortran, by mpif.h (default), by `use mpi` (-DUSE_MPI) or by `use mpi_f08` (-DUSE_F08). Prints "fortran: ok".
program fortran
#if defined(USE_F08)
  use mpi_f08
#elif defined(USE_MPI)
  use mpi
#endif
  implicit none
#if !defined(USE_F08) && !defined(USE_MPI)
  include 'mpif.h'
#endif
  integer :: rank, ranks, error, i, number
  double precision :: x(5), y(5)
  integer :: pairs(2, 3), best(2, 3)
  integer, allocatable :: all(:), counts(:), at(:)

  call MPI_Init(error)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank, error)
  call MPI_Comm_size(MPI_COMM_WORLD, ranks, error)
  allocate (all(ranks * 2), counts(ranks), at(ranks))

  x = [(dble(rank + i), i = 1, 5)]
  call MPI_Allreduce(x, y, 5, MPI_DOUBLE_PRECISION, MPI_SUM, MPI_COMM_WORLD, error)
  call check(all_close(y, [(dble(ranks * i + ranks * (ranks - 1) / 2), i = 1, 5)]), "Allreduce")
  call MPI_Allreduce(MPI_IN_PLACE, x, 5, MPI_DOUBLE_PRECISION, MPI_SUM, MPI_COMM_WORLD, error)
  call check(all_close(x, y), "Allreduce in place")

  number = merge(42, 0, rank == ranks - 1)
  call MPI_Bcast(number, 1, MPI_INTEGER, ranks - 1, MPI_COMM_WORLD, error)
  call check(number == 42, "Bcast")

  pairs(1, :) = [rank, -rank, 7]
  pairs(2, :) = rank
  call MPI_Allreduce(pairs, best, 3, MPI_2INTEGER, MPI_MAXLOC, MPI_COMM_WORLD, error)
  call check(best(2, 1) == ranks - 1 .and. best(2, 2) == 0 .and. best(2, 3) == 0, "Allreduce of pairs")

  counts = 2
  at = [(2 * (ranks - i), i = 1, ranks)]
  call MPI_Allgatherv([rank, -rank], 2, MPI_INTEGER, all, counts, at, MPI_INTEGER, MPI_COMM_WORLD, error)
  call check(all(2 * (ranks - 1) + 1) == 0 .and. all(1) == ranks - 1, "Allgatherv")
  call MPI_Barrier(MPI_COMM_WORLD, error)
  call check(error == MPI_SUCCESS, "Barrier")

  if (rank == 0) print '(a)', "fortran: ok"
  call MPI_Finalize(error)

contains
  logical function all_close(a, b)
    double precision, intent(in) :: a(:), b(:)
    all_close = maxval(abs(a - b)) < 1d-12
  end function
  subroutine check(so, what)
    logical, intent(in) :: so
    character(*), intent(in) :: what
    if (.not. so) then
      print '(2a)', "fortran: wrong: ", what
      call MPI_Abort(MPI_COMM_WORLD, 1, error)
    end if
  end subroutine
end program
