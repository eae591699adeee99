package disk

import (
	"fmt"

	"millpond"
)

// most is how much room a writer takes at once that has not said how much it will write.
const most = 64 << 20

// spare is how many bytes nobody has or has announced, Low aside; negative if there are fewer. known is false where the
// system does not tell.
func (s *Store) spare() (n int64, known bool, err error) {
	free, _, err := s.options.Room()
	if err != nil {
		return 0, false, fault("look for room", err)
	}
	return free - s.options.Low - s.reserved, free >= 0, nil
}

// room is Full if n bytes would leave less than Low free.
func (s *Store) room(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.take(n, 0)
	return err
}

// reserve keeps room for n bytes.
func (s *Store) reserve(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.take(n, 0); err != nil {
		return err
	}
	s.reserved += n
	return nil
}

// step keeps room for at least n bytes and says for how many.
func (s *Store) step(n int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.take(n, most)
	if err != nil {
		return 0, err
	}
	s.reserved += n
	return n, nil
}

// take says how much of the room can be had: at least n, and up to more if that is a small part of it. Full if n cannot.
// The caller holds mu.
func (s *Store) take(n, more int64) (int64, error) {
	spare, known, err := s.spare()
	if err != nil {
		return 0, err
	}
	if !known {
		return n, nil
	}
	if n > spare {
		why := fmt.Sprintf("the disk has room for %d bytes, not for %d", max(0, spare), n)
		if s.options.Low > 0 {
			why += fmt.Sprintf("; %d are left free", s.options.Low)
		}
		return 0, &millpond.Error{Kind: millpond.Full, Why: why}
	}
	return max(n, min(more, spare/16)), nil
}

// unreserve gives back room that was kept.
func (s *Store) unreserve(n int64) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved -= n
}
