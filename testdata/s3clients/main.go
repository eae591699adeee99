// Command s3clients puts, reads, lists, copies and deletes objects of the bucket raw at $POND with the two S3 libraries that Go
// programs use, as they are set up by default. It is a module of its own: nothing of the project needs them.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/minio/minio-go/v7"
	miniocredentials "github.com/minio/minio-go/v7/pkg/credentials"
)

const bucket = "raw"

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, one := range []struct {
		name string
		run  func(context.Context, string, string, string) error
	}{{"aws-sdk-go-v2", sdk}, {"minio-go", withMinio}} {
		if err := one.run(ctx, os.Getenv("POND"), os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")); err != nil {
			fmt.Fprintln(os.Stderr, one.name+":", err)
			os.Exit(1)
		}
		fmt.Println(one.name, "is well")
	}
}

// large is more than one part of either library.
func large() []byte {
	b := make([]byte, 21<<20)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func same(what string, got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s has %d other bytes, want %d", what, len(got), len(want))
	}
	return nil
}

func sdk(ctx context.Context, pond, id, secret string) error {
	client := func(secret string) *s3.Client {
		return s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &pond, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")})
	}
	c, key := client(secret), aws.String("sdk/a b+c%ü")
	put, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: key, Body: bytes.NewReader([]byte("small")), ContentType: aws.String("text/x-test"), Metadata: map[string]string{"color": "red"}})
	if err != nil {
		return fmt.Errorf("put: %w", err)
	}
	got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	body, err := io.ReadAll(got.Body)
	if err := errors.Join(err, same("what was put", body, []byte("small"))); err != nil {
		return err
	}
	if aws.ToString(got.ETag) != aws.ToString(put.ETag) || got.Metadata["color"] != "red" || aws.ToString(got.ContentType) != "text/x-test" {
		return fmt.Errorf("get: tag %q, metadata %v, type %q", aws.ToString(got.ETag), got.Metadata, aws.ToString(got.ContentType))
	}
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: key, Body: bytes.NewReader(nil), IfNoneMatch: aws.String("*")}); code(err) != "PreconditionFailed" {
		return fmt.Errorf("create only: %w", err)
	}
	big := large()
	if _, err := manager.NewUploader(c).Upload(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("sdk/big"), Body: bytes.NewReader(big)}); err != nil {
		return fmt.Errorf("upload in parts: %w", err)
	}
	buf := manager.NewWriteAtBuffer(nil)
	if _, err := manager.NewDownloader(c).Download(ctx, buf, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("sdk/big")}); err != nil {
		return fmt.Errorf("download in parts: %w", err)
	}
	if err := same("what was put in parts", buf.Bytes(), big); err != nil {
		return err
	}
	if _, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: aws.String("sdk/copy"), CopySource: aws.String(bucket + "/sdk/big")}); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	begun, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("sdk/begun")})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	way, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket)})
	if err != nil || len(way.Uploads) != 1 || aws.ToString(way.Uploads[0].UploadId) != aws.ToString(begun.UploadId) {
		return fmt.Errorf("uploads under way: %+v, %w", way, err)
	}
	if _, err := c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("sdk/begun"), UploadId: begun.UploadId}); err != nil {
		return fmt.Errorf("abort: %w", err)
	}
	var names []string
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: aws.String("sdk/"), MaxKeys: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		for _, o := range page.Contents {
			names = append(names, aws.ToString(o.Key))
		}
	}
	if want := []string{"sdk/a b+c%ü", "sdk/big", "sdk/copy"}; !slices.Equal(names, want) {
		return fmt.Errorf("list: got %q, want %q", names, want)
	}
	link, err := s3.NewPresignClient(c).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: key})
	if err != nil {
		return err
	}
	if err := read(ctx, link.URL, []byte("small")); err != nil {
		return err
	}
	if _, err := client("another").PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("sdk/none"), Body: bytes.NewReader(nil)}); code(err) != "SignatureDoesNotMatch" {
		return fmt.Errorf("with another secret: %w", err)
	}
	var all []types.ObjectIdentifier
	for _, name := range names {
		all = append(all, types.ObjectIdentifier{Key: aws.String(name)})
	}
	if _, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &types.Delete{Objects: all}}); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if _, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: key}); code(err) != "NotFound" {
		return fmt.Errorf("what was deleted: %w", err)
	}
	return nil
}

// code is what S3 calls an error.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// read reads an address without a key.
func read(ctx context.Context, address string, want []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return errors.Join(err, same("a presigned address, "+resp.Status, body, want))
}

func withMinio(ctx context.Context, pond, id, secret string) error {
	at, err := url.Parse(pond)
	if err != nil {
		return err
	}
	c, err := minio.New(at.Host, &minio.Options{Creds: miniocredentials.NewStaticV4(id, secret, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath})
	if err != nil {
		return err
	}
	if ok, err := c.BucketExists(ctx, bucket); err != nil || !ok {
		return fmt.Errorf("the bucket is there: %t, %w", ok, err)
	}
	big := large()
	for _, o := range []struct {
		name string
		body []byte
		size int64
	}{{"minio/a b+c%ü", []byte("small"), 5}, {"minio/stream", []byte("of no length"), -1}, {"minio/big", big, int64(len(big))}} {
		if _, err := c.PutObject(ctx, bucket, o.name, bytes.NewReader(o.body), o.size, minio.PutObjectOptions{UserMetadata: map[string]string{"color": "red"}, PartSize: 8 << 20}); err != nil {
			return fmt.Errorf("put %s: %w", o.name, err)
		}
		got, err := c.GetObject(ctx, bucket, o.name, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		body, err := io.ReadAll(got)
		if err := errors.Join(err, same(o.name, body, o.body), got.Close()); err != nil {
			return err
		}
		info, err := c.StatObject(ctx, bucket, o.name, minio.StatObjectOptions{})
		if err != nil || info.Size != int64(len(o.body)) || info.UserMetadata["Color"] != "red" {
			return fmt.Errorf("stat %s: %d bytes, metadata %v, %w", o.name, info.Size, info.UserMetadata, err)
		}
	}
	if _, err := c.ComposeObject(ctx, minio.CopyDestOptions{Bucket: bucket, Object: "minio/twice"},
		minio.CopySrcOptions{Bucket: bucket, Object: "minio/big"}, minio.CopySrcOptions{Bucket: bucket, Object: "minio/big"}); err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	if info, err := c.StatObject(ctx, bucket, "minio/twice", minio.StatObjectOptions{}); err != nil || info.Size != 2*int64(len(big)) {
		return fmt.Errorf("what was composed has %d bytes, %w", info.Size, err)
	}
	var names []string
	for o := range c.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: "minio/", Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("list: %w", o.Err)
		}
		names = append(names, o.Key)
	}
	if want := []string{"minio/a b+c%ü", "minio/big", "minio/stream", "minio/twice"}; !slices.Equal(names, want) {
		return fmt.Errorf("list: got %q, want %q", names, want)
	}
	for u := range c.ListIncompleteUploads(ctx, bucket, "", true) {
		return fmt.Errorf("an upload is under way: %s %w", u.Key, u.Err)
	}
	link, err := c.PresignedGetObject(ctx, bucket, "minio/stream", time.Minute, nil)
	if err != nil {
		return err
	}
	if err := read(ctx, link.String(), []byte("of no length")); err != nil {
		return err
	}
	for _, name := range names {
		if err := c.RemoveObject(ctx, bucket, name, minio.RemoveObjectOptions{}); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	if _, err := c.StatObject(ctx, bucket, "minio/big", minio.StatObjectOptions{}); minio.ToErrorResponse(err).Code != minio.NoSuchKey {
		return fmt.Errorf("what was removed: %w", err)
	}
	return nil
}
