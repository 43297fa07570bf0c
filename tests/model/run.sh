#!/bin/bash
# run.sh - checks the models of the ring with Spin.
#
#   tests/model/run.sh [quick|soak]     quick (default): under a minute, below 2 GB; soak: also the deep ones, up to
#                                       8 GB and an hour
#
# Builds each configuration in a folder of its own below $BUILD/model (BUILD: build) and prints one line for it: what it
# is, states, seconds, whether the search was exhaustive or what ended it, and the verdict. A rule left out (-DBUG_...)
# must make the model fail, and by the check that is named in the list below: a model that cannot fail proves nothing.
# In quick mode every search must be exhaustive.
#
# Exit: 0 all as expected, 1 something is not, 2 usage, 77 skipped because Spin or a compiler is missing.
# Environment: BUILD; JOBS (searches at once, default 2); SEARCH_SECONDS (bound of one search).
set -u

# name | model | expected | definitions. Expected: holds, or the check that fails: the name of an assertion, or `stuck`
# (an invalid end state: somebody waits for good).
quick_list='
eventcount, 2 wakers, 2 sleepers                    | wake | holds | -DWAKERS=2 -DSLEEPERS=2
eventcount, 2 wakers, 3 sleepers, one with deadline | wake | holds | -DSLEEPERS=3 -DDEADLINES
  announced after the look                          | wake | stuck | -DBUG_ANNOUNCE_LATE
  waker looks before it publishes                   | wake | stuck | -DBUG_LOOKS_FIRST
  a wake does not move the count                    | wake | stuck | -DBUG_NO_COUNT
  announcement taken back                           | wake | stuck | -DBUG_TAKE_BACK
  one sleeper woken of several                      | wake | stuck | -DBUG_WAKE_ONE
eventcount, a waker is stopped anywhere             | wake | holds | -DSTOPS -DPUBLICATIONS=1
eventcount, 3 wakers, one is stopped, 2 sleepers    | wake | holds | -DSTOPS -DPUBLICATIONS=1 -DWAKERS=3
  the bit cleared before the system call            | wake | stuck | -DSTOPS -DPUBLICATIONS=1 -DBUG_CLEAR_FIRST
  an announcement leaves bit 1 on                   | wake | stuck | -DBUG_KEEP_WAKING
  not said again when the waker was faster          | wake | stuck | -DBUG_ONCE
  a waker relies on another one                     | wake | stuck | -DSTOPS -DPUBLICATIONS=1 -DWAKERS=3 -DBUG_LEAVE_TO_OTHER
ring, lossless reader, 2 writers x 3                | ring | holds | -DRECORDS=3
ring, lossless, grants of every kind                | ring | holds | -DMAX_GRANT=2 -DRECORDS=2 -DOTHERS=1
ring, lossless and lossy reader                     | ring | holds | -DLOSSY=1 -DRECORDS=2 -DSIZE=3
ring, overwriting, lossy reader, 2 x 2              | ring | holds | -DLOSSLESS=0 -DLOSSY=1 -DRECORDS=2 -DSIZE=3
ring, overwriting, a raiser, 3 and 2                | ring | holds | -DLOSSLESS=0 -DRAISES=1 -DRECORDS=3 -DOTHERS=2
ring, overwriting, 3 writers                        | ring | holds | -DLOSSLESS=0 -DWRITERS=3 -DRECORDS=2 -DOTHERS=1 -DSIZE=3
ring, overwriting, marks, every kind                | ring | holds | -DLOSSLESS=0 -DMAX_GRANT=2 -DRECORDS=2 -DOTHERS=1 -DSECTIONS=2
ring, overwriting, marks, 2 x 4                     | ring | holds | -DLOSSLESS=0 -DSIZE=6 -DSECTIONS=2 -DRECORDS=4
  no head room                                      | ring | opened_is_final | -DBUG_HEAD=0
  head room for one writer less, of 3               | ring | opened_is_final | -DLOSSLESS=0 -DWRITERS=3 -DRECORDS=2 -DOTHERS=1 -DSIZE=3 -DBUG_HEAD=1
  frontier without the position of the snapshot     | ring | floor_is_final | -DBUG_FRONTIER -DLOSSLESS=0 -DRAISES=1 -DOTHERS=1
  begin loaded twice                                | ring | floor_is_final | -DBUG_BEGIN_TWICE -DLOSSLESS=0 -DRAISES=1 -DOTHERS=1
  a mark believed without a look at the bound       | ring | floor_is_final | -DBUG_MARK -DLOSSLESS=0 -DMAX_GRANT=2 -DSECTIONS=2 -DRECORDS=2
  stamp before data                                 | ring | record_is_whole | -DBUG_STAMP_FIRST
  out before the stamp                              | ring | opened_is_final | -DBUG_OUT_FIRST
  first stamp of a batch first                      | ring | batch_is_whole | -DBUG_STAMP_ORDER -DMAX_GRANT=2 -DRECORDS=1
  lossy copy not validated                          | ring | record_is_whole | -DBUG_VALIDATE -DLOSSLESS=0 -DLOSSY=1 -DRECORDS=2 -DSIZE=3
  padding not given back                            | ring | stuck | -DBUG_KEEP_PADDING -DMAX_GRANT=2 -DRECORDS=2
join, 2 writers, 1 join                             | join | holds | -DRECORDS=2 -DREADS=1 -DROUNDS=1
join, 1 writer, 3 joins in one slot                 | join | holds | -DWRITERS=1 -DRECORDS=4 -DSIZE=2 -DROUNDS=3
join, 1 writer, 2 readers                           | join | holds | -DWRITERS=1 -DRECORDS=2 -DSIZE=2 -DREADERS=2 -DROUNDS=1 -DREADS=1
join, the ring holds for readers                    | join | holds | -DHOLD -DROUNDS=1 -DRECORDS=2
  no join count                                     | join | floor_is_unread | -DBUG_NO_COUNT -DRECORDS=2 -DREADS=1
  swap from values read after the scan              | join | floor_is_unread | -DBUG_SWAP_LATE -DRECORDS=2 -DREADS=1
  cursors before the snapshot                       | join | floor_is_unread | -DBUG_CURSORS_FIRST -DRECORDS=2 -DREADS=1
  start below the floor the count found             | join | ground_is_free | -DBUG_START_EARLY -DRECORDS=2 -DREADS=1 -DSTART_OLDEST
  now read before the reader can be seen            | join | floor_is_unread | -DBUG_NOW_EARLY -DRECORDS=2 -DREADS=1
  a join wakes nobody                               | join | stuck | -DBUG_JOIN_QUIETLY -DHOLD -DROUNDS=1 -DRECORDS=2
  a leave wakes nobody                              | join | stuck | -DBUG_LEAVE_QUIETLY -DRECORDS=2 -DREADS=1
  accused without a second look at the cursor       | join | nobody_is_accused | -DBUG_ACCUSE -DRECORDS=2 -DREADS=1
wait, 2 writers, sleeping reader                    | wait | holds | -DWRITERS=2
wait, 2 writers, the reader stops reading           | wait | holds | -DWRITERS=2 -DPAUSES
wait, 3 writers, busy reader                        | wait | holds | -DREADER=2
wait, 2 writers, one with deadline                  | wait | holds | -DWRITERS=2 -DRECORDS=2 -DREADER=2 -DIMPATIENT
wait, 2 writers x 2, one keeps its grant            | wait | holds | -DWRITERS=2 -DRECORDS=2 -DREADER=2 -DREACH=2 -DHOLDS
wait, 2 writers x 2, room beyond the needs          | wait | holds | -DWRITERS=2 -DRECORDS=2 -DREADER=2 -DREACH=4
wait, 3 writers, no reader                          | wait | holds | -DREADER=0 -DHOLDS
  announced after the look                          | wait | stuck | -DBUG_ANNOUNCE_LATE -DWRITERS=2 -DRECORDS=2
  newcomer does not see those who wait              | wait | turn_is_kept | -DBUG_NEWCOMER -DREADER=2
  newcomers beyond the needs, without a ticket      | wait | turn_is_kept | -DBUG_BEYOND -DREADER=2 -DREACH=2
  ticket before the bit                             | wait | turn_is_kept | -DBUG_TICKET_FIRST -DREADER=2
  position before the needs                         | wait | turn_is_kept | -DBUG_LOOK_FIRST -DREADER=2 -DREACH=2
  leaving the queue wakes nobody                    | wait | stuck | -DBUG_LEAVE_QUIETLY -DREADER=2 -DIMPATIENT
  leaving the queue looks for others before it      | wait | stuck | -DBUG_TICKET_BEFORE_LEAVING -DREADER=2 -DIMPATIENT
  finishing wakes no writer                         | wait | stuck | -DBUG_FINISH_QUIETLY -DREADER=0
  reader sleeps on what it has not given back       | wait | stuck | -DBUG_KEEP_CURSOR -DWRITERS=2 -DRECORDS=2
  no second look after a release on its way         | wait | nobody_sleeps_in_vain | -DBUG_NO_SECOND_LOOK -DPAUSES -DWRITERS=2
  sleeping on a place that is not exact yet         | wait | nobody_sleeps_in_vain | -DBUG_NO_NAP -DHOLDS -DWRITERS=2 -DRECORDS=2 -DREADER=2 -DREACH=2
  sleeping on a ticket that is not drawn yet        | wait | stuck | -DBUG_NO_NAP -DREADER=2
repair, lossless, killed anywhere, and the repairer | repair | holds | -DRECORDS=2 -DOTHERS=1 -DKINDS=1 -DRESTARTS=1
repair, lossless, grants shrunk, batches            | repair | holds | -DMAX_GRANT=2 -DRECORDS=1 -DKINDS=14
repair, lossless, batches, aborts, and the repairer | repair | holds | -DMAX_GRANT=2 -DRECORDS=1 -DKINDS=40 -DRESTARTS=1
repair, lossless, two dead without a place, twice   | repair | holds | -DMAX_GRANT=2 -DRECORDS=1 -DKINDS=3 -DKILLS=2 -DUNPLACED_ONLY -DRESTARTS=1
repair, overwriting, grants of 1 and 2              | repair | holds | -DLOSSLESS=0 -DMAX_GRANT=2 -DKINDS=3 -DRECORDS=2 -DOTHERS=1 -DSIZE=6
repair, overwriting, a raise in flight              | repair | holds | -DLOSSLESS=0 -DRAISES=1 -DRECORDS=2 -DOTHERS=1 -DKINDS=1 -DSIZE=3 -DVICTIMS=2 -DUNPLACED_ONLY
repair, overwriting, lossy reader                   | repair | holds | -DLOSSLESS=0 -DLOSSY=1 -DRECORDS=1 -DKINDS=1 -DSIZE=3
repair, overwriting, a newcomer between two dead    | repair | holds | -DLOSSLESS=0 -DNEWCOMER=1 -DMAX_GRANT=2 -DKINDS=1 -DRECORDS=1 -DKILLS=2 -DUNPLACED_ONLY
  stamp not looked at before an exact place is padded | repair | padding_is_dead | -DBUG_PAD_UNSEEN -DRECORDS=1
  bit cleared before the padding is there           | repair | opened_is_final | -DBUG_CLEAR_FIRST -DRECORDS=1
  bit subtracted in every case                      | repair | bit_is_mine | -DBUG_SUBTRACT -DRECORDS=1
  count not mended                                  | repair | accounts_are_true | -DBUG_NO_MEND -DRECORDS=1
  count mended after the bit                        | repair | accounts_are_true | -DBUG_MEND_LATE -DRECORDS=1 -DRESTARTS=1
  living members not resolved                       | repair | padding_is_dead | -DBUG_UNRESOLVED -DRECORDS=1
  the walk passes its snapshot                      | repair | padding_is_dead | -DBUG_PASS_SNAPSHOT -DRECORDS=1
  length of the next grant believed                 | repair | padding_is_dead | -DBUG_NEXT_LENGTH -DLOSSLESS=0 -DMAX_GRANT=2 -DKINDS=3 -DRECORDS=2 -DOTHERS=1 -DSIZE=6
  M not loaded again after a length in a record     | repair | opened_is_final | -DBUG_SPAN -DLOSSLESS=0 -DMAX_GRANT=2 -DKINDS=3 -DSIZE=6 -DRECORDS=4 -DOTHERS=1 -DVICTIMS=2 -DUNPLACED_ONLY
  M not loaded again after a miss                   | repair | padding_is_dead | -DBUG_MISS -DLOSSLESS=0 -DKINDS=1 -DRECORDS=4 -DOTHERS=1 -DVICTIMS=2 -DUNPLACED_ONLY
  a place that M has passed taken for damage        | repair | opened_is_final | -DBUG_BELOW_FLOOR -DLOSSLESS=0 -DRAISES=1 -DKINDS=1 -DSIZE=3 -DRECORDS=4 -DOTHERS=1 -DVICTIMS=2 -DUNPLACED_ONLY
  end of a gap by stamps alone                      | repair | padding_is_dead | -DBUG_GAP_END -DKINDS=1 -DRECORDS=2 -DOTHERS=1
  a gap of two grants padded without their border   | repair | start_is_boundary | -DBUG_ONE_PIECE -DLOSSLESS=0 -DNEWCOMER=1 -DMAX_GRANT=2 -DKINDS=1 -DRECORDS=1 -DKILLS=2 -DUNPLACED_ONLY
  padding longer than a grant can be                | repair | record_is_sane | -DBUG_LONG_PIECE -DRECORDS=1 -DKILLS=2 -DUNPLACED_ONLY
  another repair comes while one is in a gap        | repair | stuck | -DBUG_GAP_LIES -DMAX_GRANT=2 -DKINDS=3 -DRECORDS=1 -DKILLS=2 -DUNPLACED_ONLY -DRESTARTS=1
move, 2 and 1 records                               | move | holds | -DOTHERS=1 -DNEW_SIZE=1
move, batches and aborts                            | move | holds | -DRECORDS=1 -DKINDS=6
move, a writer killed                               | move | holds | -DRECORDS=1 -DKILLS=1
move, the daemon killed                             | move | holds | -DRECORDS=1 -DRESTARTS=1
move, a reader joins and leaves, a writer killed    | move | holds | -DWRITERS=1 -DRECORDS=1 -DNEW_SIZE=1 -DJOINS=1 -DKILLS=1
  an addition that finds the seal is used           | move | counts_add_up | -DBUG_VOID -DRECORDS=1
  readers do not look whether the ring moves        | move | record_is_next | -DBUG_FLAG -DRECORDS=1
  that it moves said after the last look            | move | record_is_next | -DBUG_FLAG_LATE -DRECORDS=1
  a sealed word opens                               | move | record_is_next | -DBUG_SEALED_OPENS -DRECORDS=1
  given up without a look at the stamp              | move | record_is_next | -DBUG_GIVE_UP_BLINDLY -DRECORDS=1
  list used before it is closed                     | move | old_is_whole | -DBUG_LIST_OPEN -DRECORDS=1
  grants without a place not looked for             | move | old_is_whole | -DBUG_NO_WALK -DRECORDS=1
  a range passed over from its beginning only       | move | old_is_whole | -DBUG_RANGE_BEGIN -DRECORDS=1 -DJOINS=1
  a reader that begins beyond the end not set back  | move | old_is_whole | -DBUG_BEYOND -DWRITERS=1 -DRECORDS=2 -DNEW_SIZE=1 -DJOINS=1
  journal after the seal                            | move | counts_add_up | -DBUG_JOURNAL_LATE -DRECORDS=1 -DRESTARTS=1
  no verdict for a member that has left             | move | counts_add_up | -DBUG_CLEAR_BIT -DRECORDS=1
  verdict not claimed                               | move | counts_add_up | -DBUG_NO_CLAIM -DRECORDS=1
  counts loaded after the stamps                    | move | counts_add_up | -DBUG_COUNT_LATE -DOTHERS=1 -DNEW_SIZE=1 -DKILLS=1
  all the room, whatever is still to be read        | move | ground_is_free | -DBUG_ALL_THE_ROOM -DOTHERS=1 -DNEW_SIZE=1
  what was still to be read stays so                | move | stuck | -DBUG_BEHIND_STAYS -DOTHERS=1 -DNEW_SIZE=1
  said to be read before it is                      | move | ground_is_free | -DBUG_TOLD_TOO_MUCH -DOTHERS=1 -DNEW_SIZE=1
group, 2 members, claims of one record              | group | holds | -DSINGLE -DRECORDS=4
group, a member and the daemon killed               | group | holds | -DKILLS=1 -DRESTARTS=1 -DRECORDS=2
group, the same, and the seat has another owner     | group | holds | -DKILLS=1 -DRESTARTS=1 -DLIVES=1 -DRECORDS=2
group, 3 members, one killed                        | group | holds | -DMEMBERS=3 -DKILLS=1 -DRECORDS=1
  a claim by less than all of the position          | group | claim_is_next | -DBUG_SHORT_POSITION -DRECORDS=4
  frontier without the position of the snapshot     | group | ground_is_free | -DBUG_FRONTIER -DSIZE=3 -DRECORDS=5 -DSINGLE
  active before the position                        | group | ground_is_free | -DBUG_ACTIVE_FIRST
  finished before it is read                        | group | all_given | -DBUG_FINISH_EARLY
  cursor stored after the claim                     | group | all_given | -DBUG_CURSOR_LATE -DKILLS=1 -DRECORDS=2
  what a dead member had goes to nobody             | group | stuck | -DBUG_NO_ORPHAN -DKILLS=1 -DRECORDS=2
  who is waited for dies and nobody wakes           | group | stuck | -DBUG_DIE_QUIETLY -DKILLS=1
  an orphan taken without saying so                 | group | orphan_once | -DBUG_NO_TAKER -DMEMBERS=3 -DKILLS=1 -DRECORDS=1
  an orphan taken without a second look             | group | orphan_once | -DBUG_TAKE_BLINDLY -DMEMBERS=3 -DKILLS=1 -DRECORDS=1
  an orphan left before it is finished              | group | orphan_once | -DBUG_LEAVE_TAKERS_FIRST -DMEMBERS=3 -DKILLS=1 -DRECORDS=1
  what a dead taker had stays his                   | group | stuck | -DBUG_KEEP_TAKEN -DMEMBERS=3 -DKILLS=2 -DRECORDS=1
  a reader joins while the new one is prepared      | move | ground_is_free | -DBUG_JOIN -DRECORDS=1 -DNEW_SIZE=1 -DJOINS=1
  a reader leaves the old one only                  | move | stuck | -DBUG_LEAVE -DRECORDS=1 -DNEW_SIZE=1 -DJOINS=1
single writer, sleeping reader, 3 records, aborts   | single | holds | -DRECORDS=3 -DABORTS
single writer, killed, and the repairer             | single | holds | -DKILLS=1 -DRESTARTS=1
single writer, killed, records of 1 and 2 units     | single | holds | -DKILLS=1 -DUNITS=2
single writer, moved, 2 records                     | single | holds | -DMOVES=1
single writer, moved, killed                        | single | holds | -DMOVES=1 -DRECORDS=1 -DKILLS=1
single writer, moved, the daemon killed             | single | holds | -DMOVES=1 -DRECORDS=1 -DRESTARTS=1
single writer, moved, killed, it fences itself      | single | holds | -DMOVES=1 -DRECORDS=1 -DKILLS=1 -DFENCED
single writer, readers join while it raises         | single | holds | -DJOINS=3 -DRECORDS=8 -DSIZE=3
  no barrier after closing                          | single | nothing_is_lost | -DBUG_NO_Y1 -DMOVES=1
  barrier before closing                            | single | nothing_is_lost | -DBUG_Y1_FIRST -DMOVES=1
  no barrier before a sleeper looks again           | single | stuck | -DBUG_NO_Y2
  barrier before a sleeper announces                | single | stuck | -DBUG_Y2_FIRST
  closing not looked at after the addition          | single | counts_add_up | -DBUG_NO_Z4 -DMOVES=1 -DKILLS=1 -DRECORDS=1
  closing not looked at, nor where the lane ends    | single | nothing_is_lost | -DBUG_NO_Z4 -DBUG_NO_ENDS_BEFORE -DMOVES=1 -DRECORDS=1
  no fence between the addition and the seal        | single | counts_add_up | -DBUG_NO_FENCE_Z4 -DMOVES=1 -DKILLS=1 -DRECORDS=1
  closing not looked at after the commit            | single | nothing_is_lost | -DBUG_NO_Z6 -DMOVES=1 -DRECORDS=1
  no fence between the commit and the seal          | single | nothing_is_lost | -DBUG_NO_FENCE_Z6 -DMOVES=1 -DRECORDS=1
  verdict not claimed                               | single | nothing_is_lost | -DBUG_NO_CLAIM -DMOVES=1 -DRECORDS=1
  sleepers not looked at after the commit           | single | stuck | -DBUG_NO_C4
  a store wipes the seal                            | single | nothing_is_lost | -DBUG_WHOLE_WORD -DMOVES=1 -DRECORDS=1
  position before the bit                           | single | opened_is_final | -DBUG_POSITION_FIRST
  place said after the addition                     | single | slot_makes_sense | -DBUG_BEGIN_LATE -DKILLS=1
  length said after the addition                    | single | slot_makes_sense | -DBUG_LENGTH_LATE -DKILLS=1
  stamp before the position                         | single | record_is_next | -DBUG_STAMP_EARLY -DMOVES=1 -DRECORDS=1
  stamp before data                                 | single | record_is_whole | -DBUG_STAMP_FIRST
  out before the stamp                              | single | opened_is_final | -DBUG_OUT_EARLY
  repair: a bit without an addition                 | single | slot_makes_sense | -DBUG_NO_PLACE_CASE -DKILLS=1
  move: a bit without an addition                   | single | list_is_sane | -DBUG_BEYOND_END -DMOVES=1 -DRECORDS=1
  count not mended                                  | single | counts_add_up | -DBUG_NO_COUNT -DKILLS=1 -DRECORDS=1
  a successor wakes nobody in the old generation    | single | stuck | -DBUG_DONE_QUIETLY -DMOVES=1 -DRESTARTS=1 -DRECORDS=1
  no fence between W and the cursors in a raise     | single | floor_is_unread | -DBUG_NO_Z7 -DJOINS=1 -DRECORDS=4
'
soak_list='
eventcount, 3 wakers, 3 sleepers                    | wake | holds | -DWAKERS=3 -DSLEEPERS=3 -DDEADLINES
ring, lossless, 2 x 2 of every kind                 | ring | holds | -DMAX_GRANT=2 -DRECORDS=2
ring, lossless, 3 writers x 2                       | ring | holds | -DWRITERS=3 -DRECORDS=2
ring, lossless, a raiser, 2 x 3                     | ring | holds | -DRAISES=1
ring, lossless and lossy, 2 x 3                     | ring | holds | -DLOSSY=1 -DRECORDS=3
ring, overwriting, lossy, 2 x 4, two laps           | ring | holds | -DLOSSLESS=0 -DLOSSY=1 -DRECORDS=4
ring, overwriting, lossy, every kind, 2 x 2         | ring | holds | -DLOSSLESS=0 -DLOSSY=1 -DMAX_GRANT=2 -DRECORDS=2
ring, overwriting, lossy, marks, 2 x 4              | ring | holds | -DLOSSLESS=0 -DLOSSY=1 -DSIZE=6 -DSECTIONS=2 -DRECORDS=4
ring, overwriting, 3 writers x 3                    | ring | holds | -DLOSSLESS=0 -DWRITERS=3 -DRECORDS=3
ring, overwriting, marks, 2 x 3 of every kind       | ring | holds | -DLOSSLESS=0 -DMAX_GRANT=2 -DRECORDS=3 -DSECTIONS=2
join, 2 writers x 3, 2 joins                        | join | holds | -DROUNDS=2
join, 2 writers x 2, 2 readers                      | join | holds | -DRECORDS=2 -DREADS=1 -DROUNDS=1 -DREADERS=2
join, 1 writer x 6, 2 readers x 2                   | join | holds | -DWRITERS=1 -DRECORDS=6 -DREADERS=2 -DROUNDS=2
wait, 2 writers x 2, sleeping reader                | wait | holds | -DWRITERS=2 -DRECORDS=2
wait, 2 writers x 2, the reader stops reading       | wait | holds | -DWRITERS=2 -DRECORDS=2 -DPAUSES
wait, 3 writers, sleeping reader                    | wait | holds | -DREADER=1
wait, 3 writers, room for 2                         | wait | holds | -DREADER=2 -DREACH=2
wait, 3 writers, needs of 1 or 2                    | wait | holds | -DREADER=2 -DREACH=2 -DMAX_GRANT=2
wait, 3 writers, one keeps its grant, one leaves    | wait | holds | -DREADER=2 -DREACH=2 -DHOLDS -DIMPATIENT
wait, 3 writers, room beyond the needs               | wait | holds | -DREADER=2 -DREACH=5
wait, 3 writers x 2                                 | wait | holds | -DREADER=2 -DRECORDS=2
repair, lossless, 2 x 2 and the repairer            | repair | holds | -DRECORDS=2 -DKINDS=1 -DRESTARTS=1
repair, lossless, 2 x 1 of every kind, and the repairer | repair | holds | -DMAX_GRANT=2 -DRECORDS=1 -DRESTARTS=1
repair, lossless, 2 and 1 of every kind             | repair | holds | -DMAX_GRANT=2 -DRECORDS=2 -DOTHERS=1
repair, lossless, two killed anywhere, and the repairer | repair | holds | -DMAX_GRANT=2 -DKINDS=3 -DRECORDS=1 -DKILLS=2 -DRESTARTS=1
repair, lossless, 3 writers, three dead without a place | repair | holds | -DWRITERS=3 -DMAX_GRANT=2 -DHEAD=2 -DSIZE=5 -DKINDS=1 -DRECORDS=1 -DKILLS=3 -DUNPLACED_ONLY
repair, overwriting, grants of 1 and 2, two laps    | repair | holds | -DLOSSLESS=0 -DMAX_GRANT=2 -DKINDS=3 -DRECORDS=4 -DOTHERS=1
repair, overwriting, a raise in flight, 4 and 1     | repair | holds | -DLOSSLESS=0 -DRAISES=1 -DKINDS=1 -DSIZE=3 -DRECORDS=4 -DOTHERS=1 -DUNPLACED_ONLY
repair, overwriting, lossy reader, 2 and 1          | repair | holds | -DLOSSLESS=0 -DLOSSY=1 -DKINDS=1 -DSIZE=3 -DRECORDS=2 -DOTHERS=1
repair, overwriting, 3 writers, a raise, two dead   | repair | holds | -DLOSSLESS=0 -DWRITERS=3 -DRAISES=1 -DMAX_GRANT=2 -DHEAD=2 -DSIZE=5 -DKINDS=1 -DRECORDS=1 -DKILLS=2 -DUNPLACED_ONLY
move, 2 x 2 of every kind                           | move | holds | -DKINDS=7
move, 2 and 1 records, a writer and the daemon killed | move | holds | -DOTHERS=1 -DNEW_SIZE=1 -DKILLS=1 -DRESTARTS=1
move, batches and aborts, two killed                | move | holds | -DRECORDS=1 -DKINDS=6 -DKILLS=2
move, the daemon killed twice                       | move | holds | -DRECORDS=1 -DRESTARTS=2
move, a reader joins and leaves                     | move | holds | -DRECORDS=1 -DNEW_SIZE=1 -DJOINS=1
move, a reader joins and leaves, the daemon killed  | move | holds | -DRECORDS=1 -DNEW_SIZE=1 -DJOINS=1 -DRESTARTS=1
move, 3 writers                                     | move | holds | -DWRITERS=3 -DRECORDS=1
single writer, 2 x any kind, killed twice           | single | holds | -DUNITS=2 -DABORTS -DKILLS=2 -DRESTARTS=1
single writer, moved, killed, and the daemon        | single | holds | -DMOVES=1 -DRECORDS=1 -DKILLS=1 -DRESTARTS=1
single writer, 4 records, killed                    | single | holds | -DRECORDS=4 -DKILLS=1 -DDEPTH=20
single writer, moved, 2 x any kind                  | single | holds | -DMOVES=1 -DUNITS=2 -DABORTS -DDEPTH=20
single writer, moved, 3 records                     | single | holds | -DMOVES=1 -DRECORDS=3 -DDEPTH=20
single writer, moved, 2 records, and both killed    | single | holds | -DMOVES=1 -DKILLS=1 -DRESTARTS=1
single writer, moved, 2 records, it fences itself   | single | holds | -DMOVES=1 -DUNITS=2 -DKILLS=1 -DFENCED
single writer, moved, the end not asked for         | single | holds | -DMOVES=1 -DUNITS=2 -DKILLS=1 -DBUG_NO_ENDS_BEFORE
'

here=$(cd "$(dirname "$0")" && pwd)
mode=${1:-quick}
work=${BUILD:-$here/../../build}/model
jobs=${JOBS:-2}

case $mode in
quick)
    list=$quick_list seconds=${SEARCH_SECONDS:-250} megabytes=900 hash=20 flags='-Og'
    ;;
soak)
    list=$quick_list$soak_list seconds=${SEARCH_SECONDS:-180} megabytes=3900 hash=26 flags='-O2 -DCOLLAPSE'
    ;;
*)
    echo "usage: run.sh [quick|soak]" >&2
    exit 2
    ;;
esac

for tool in spin gcc; do
    if ! command -v "$tool" >/dev/null; then
        echo "model: skipped: $tool is not installed (apt-get install $tool)"
        exit 77
    fi
done
mkdir -p "$work" && work=$(cd "$work" && pwd) || exit 1

# trim TEXT: without the spaces around it
trim() {
    local text=$1
    text=${text#"${text%%[! ]*}"}
    echo "${text%"${text##*[! ]}"}"
}

# search FOLDER MODEL EXPECTED DEFINITION...: builds and runs one configuration; its output is FOLDER/out. What must fail
# does so soon: for that the fastest build is the one that is built fastest.
search() {
    local folder=$1 model=$2 compile=$flags
    [ "$3" = holds ] || compile=-O0
    shift 3
    mkdir -p "$folder" && cd "$folder" || return
    rm -f ./*.trail
    spin -a "$@" "$here/$model.pml" >out 2>&1 || return
    # shellcheck disable=SC2086 # several flags
    gcc $compile -w -DSAFETY -DMEMLIM="$megabytes" -o pan pan.c >>out 2>&1 || return
    timeout -s INT "$seconds" ./pan -m10000 -w"$hash" >out 2>&1
}

# extent OUT: whether the search went all the way, or what ended it
extent() {
    if grep -q 'reached -DMEMLIM\|out of memory' "$1"; then
        echo 'not exhausted (memory bound)'
    elif grep -q 'max search depth too small' "$1"; then
        echo 'not exhausted (depth bound)'
    elif grep -q 'Search not completed' "$1"; then
        echo 'not exhausted (time bound)'
    else
        echo exhaustive
    fi
}

# failure OUT: the check that failed
failure() {
    if grep -q 'invalid end state (at' "$1"; then
        echo stuck
    else
        sed -n 's/^pan:[0-9]*: assertion violated (*\([a-z_]*\).*/\1/p' "$1" | head -n 1
    fi
}

# verdict OUT EXPECTED NAME: the line; non-zero if it is not as expected
verdict() {
    local out=$1 expected=$2 name=$3 states seconds errors found reach result=0 text
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$out")
    seconds=$(sed -n 's/^pan: elapsed time \([0-9.e+-]*\) seconds/\1/p' "$out")
    errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' "$out")
    found=$(failure "$out")
    reach=$(extent "$out")
    if [ -z "$errors" ]; then
        reach='did not run' text="FAILED: see $out" result=1
    elif [ "$expected" != holds ]; then
        if [ "$errors" -gt 0 ] && [ "$found" = "$expected" ]; then
            reach='stopped at an error' text="fails as it must ($found)"
        else
            text="FAILED: expected $expected, found ${found:-no error}" result=1
        fi
    elif [ "$errors" -gt 0 ]; then
        reach='stopped at an error' text="FAILED: $found; the way there: ${out%/out}" result=1
    elif [ "$mode" = quick ] && [ "$reach" != exhaustive ]; then
        text='FAILED: must be exhaustive here' result=1
    else
        text=ok
    fi
    printf '%-56s %10s states %7s s  %-28s %s\n' "$name" "${states:--}" "${seconds:--}" "$reach" "$text"
    return $result
}

# Some at once; each line is printed in the order of the list.
names=() models=() expectations=() definitions=()
while IFS='|' read -r name model expected defs; do
    [ -z "$(trim "$name")" ] && continue
    case $name in
    '  '*) names+=("  $(trim "$name")") ;;
    *) names+=("$(trim "$name")") ;;
    esac
    models+=("$(trim "$model")")
    expectations+=("$(trim "$expected")")
    definitions+=("$(trim "$defs")")
done <<<"$list"

# report: the lines of those that are done, as far as those before them are
reported=0 ok=0 failed=0
report() {
    local i
    while ((reported < ${#names[@]})) && [ -e "$work/$reported/done" ]; do
        i=$reported reported=$((reported + 1))
        if verdict "$work/$i/out" "${expectations[i]}" "${names[i]}"; then
            ok=$((ok + 1))
        else
            failed=$((failed + 1))
        fi
    done
}

for ((i = 0; i < ${#names[@]}; i++)); do
    mkdir -p "$work/$i" && rm -f "$work/$i/done" "$work/$i/out"
done
for ((i = 0; i < ${#names[@]}; i++)); do
    while (($(jobs -rp | wc -l) >= jobs)); do
        wait -n
        report
    done
    read -ra defs <<<"${definitions[i]}"
    (
        search "$work/$i" "${models[i]}" "${expectations[i]}" "${defs[@]}"
        touch "$work/$i/done"
    ) &
done
wait
report
echo "model: $ok configurations ok, $failed failed"
[ "$failed" -eq 0 ]
